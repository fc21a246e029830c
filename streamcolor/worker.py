"""The thread boundary: work in a thread, what it raised, and what threads share: cores and heaps."""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

_LIBC: Any = ctypes.CDLL(None) if os.name == "posix" else None  # elsewhere it has no name to be loaded by
_M_ARENA_MAX = -8  # glibc's number for it, see mallopt(3)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_heaps() -> None:
    """Have all threads of this process share two heaps, for programs whose threads come and go for months.

    glibc gives threads up to eight heaps a core, each of which keeps the most that it ever held: memory grew by 10 kB
    with every connection. Does nothing with another C library.
    """
    with contextlib.suppress(AttributeError):
        _LIBC.mallopt(_M_ARENA_MAX, 2)


def give_memory_back() -> None:
    """Return to the system what something large that is gone has left in glibc's heaps, in about half a millisecond.

    Small things that stay keep the room between them: memory grew by 7 kB with every connection, in any number of
    heaps. Does nothing with another C library.
    """
    with contextlib.suppress(AttributeError):
        _LIBC.malloc_trim(0)


class Worker:
    """A thread that keeps what it raised. The only broad `except` in the package."""

    def __init__(self, work: Callable[[], None], *, name: str, on_end: Callable[["Worker"], None]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> BaseException | None:
        """Wait for its end, `seconds` at most; give what it raised."""
        self._thread.join(seconds)
        return self.error

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  # the thread boundary: whoever waits raises it again
            self.error = error
        finally:
            self._on_end(self)
