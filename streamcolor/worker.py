"""The thread boundary: work in a thread, and what it raised."""

import threading
from collections.abc import Callable


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
