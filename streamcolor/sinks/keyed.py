"""A bounded queue of a live stream: whoever is too slow for it goes on at the next key frame."""

from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class KeyedQueue(Generic[T]):
    """One thread puts and never waits; one takes; anyone may close. It begins with a key frame."""

    def __init__(self, most: int) -> None:
        self.dropped = 0  # items that came when there was no room, or no key frame before them
        self.closed = False
        self._most = most
        self._items: SimpleQueue[T | None] = SimpleQueue()  # None: closed
        self._broken = True  # until a key frame comes, nothing can be decoded

    def put(self, item: T, *, is_key: bool, counts: bool = True) -> None:
        """Queue an item; with no room, forget what is queued and everything up to the next key frame.

        The newest counts: a reader that fell behind is not shown the past. `counts`: whether a drop is worth telling.
        """
        if self._items.qsize() >= self._most:
            self._forget()
            self._broken = True
        if self._broken and not is_key:
            self.dropped += counts
        elif not self.closed:
            self._broken = False
            self._items.put(item)

    def close(self) -> None:
        """End the iteration after what is queued."""
        self.closed = True  # before the None, which _forget() might take away
        self._items.put(None)

    def __iter__(self) -> Iterator[T]:
        while (item := self._items.get()) is not None:
            yield item

    def _forget(self) -> None:
        try:
            while True:
                self.dropped += self._items.get_nowait() is not None
        except Empty:
            if self.closed:
                self._items.put(None)
