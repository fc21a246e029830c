"""Bounded hand-overs between threads. Nothing else in the package locks."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from queue import Empty
from typing import Generic, TypeVar

from streamcolor.frames import Frame

T = TypeVar("T")

AHEAD = 2  # live frames between the model and the sink's end: one is being written, one is ready


class WhenFull(Enum):
    """What a full queue does with one more item."""

    WAIT = "wait"  # files: every frame counts
    DROP_OLDEST = "drop_oldest"  # live: the newest frame counts


class Closed(Exception):  # noqa: N818  # not an error: the end of a Channel
    """A Channel is closed and empty: nothing more will come."""


class Channel(Generic[T]):
    """A FIFO that can be closed. After closing, what is queued can still be read, unless it was discarded."""

    def __init__(self, capacity: int, when_full: WhenFull) -> None:
        self.dropped = 0
        self.cut = False  # closed with discard: what came out is not all that went in
        self._capacity = capacity
        self._when_full = when_full
        self._items: deque[tuple[T, bool]] = deque()  # the item, and whether it counts against the capacity
        self._counted = 0
        self._closed = False
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._ready = threading.Condition(self._lock)

    def put(self, item: T) -> bool:
        """Queue `item` within the capacity. False means: closed, nobody will read it."""
        with self._lock:
            while self._counted >= self._capacity and not self._closed:
                if self._when_full is WhenFull.DROP_OLDEST:
                    self._drop_oldest()
                else:
                    self._room.wait()
            return self._append(item, counts=True)

    def put_admitted(self, item: T) -> bool:
        """Queue an item whose number a `Batcher` already bounds: neither wait nor drop. False means: closed."""
        with self._lock:
            return self._append(item, counts=False)

    def close(self, *, discard: bool = False) -> None:
        """Take nothing more; with `discard`, forget what is queued too."""
        with self._lock:
            self._closed = True
            if discard:
                self.cut = True
                self._items.clear()
                self._counted = 0
            self._room.notify_all()
            self._ready.notify_all()

    def get(self, seconds: float | None = None) -> T:
        """Take the next item. Raises `queue.Empty` if none comes within `seconds`, Closed if none ever will."""
        with self._lock:
            if not self._ready.wait_for(lambda: self._items or self._closed, seconds):
                raise Empty
            if not self._items:
                raise Closed
            item, counts = self._items.popleft()
            if counts:
                self._counted -= 1
                self._room.notify()
            return item

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                item = self.get()
            except Closed:
                return
            yield item

    def _append(self, item: T, *, counts: bool) -> bool:
        if self._closed:
            return False
        self._items.append((item, counts))
        self._counted += counts
        self._ready.notify()
        return True

    def _drop_oldest(self) -> None:
        oldest = next(index for index, (_, counts) in enumerate(self._items) if counts)
        del self._items[oldest]
        self._counted -= 1
        self.dropped += 1


@dataclass(slots=True)
class Lane:
    """One stream inside a Batcher."""

    when_full: WhenFull
    room: threading.Condition  # its reader waits here
    waiting: int  # frames that may wait for the model
    ahead: int  # frames that may be on their way to the sink
    queue: deque[Frame] = field(default_factory=deque)
    inside: int = 0  # frames taken for a batch and not yet written
    left: bool = False  # no more frames will come
    dropped: int = 0

    @property
    def full(self) -> bool:
        """Whether one more frame would have to wait or to drop another."""
        return len(self.queue) >= self.waiting

    @property
    def has_room(self) -> bool:
        """Whether its sink can do with one more frame."""
        return self.inside < self.ahead


class Batcher:
    """Merges many streams into batches, fairly: one frame per stream per turn.

    A frame is taken only while fewer than `depth` of its stream are on their way to the sink, so the model
    never waits for a slow sink and never colors what nobody has room for: only a stream's own reader waits,
    or its own old frames are dropped. At most 2 x `depth` frames of a stream are alive at any time; of a live
    stream one that waits, the newest, and `AHEAD` that are on their way.
    """

    def __init__(self, size: int, wait: float, depth: int) -> None:
        self._size = size  # frames per batch, at most
        self._wait = wait  # seconds that a frame may wait for frames of other streams
        self._depth = depth
        self._lanes: dict[str, Lane] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)

    def join(self, stream: str, when_full: WhenFull) -> Lane:
        """Announce a stream. Every session needs a name of its own: a name is used once."""
        live = when_full is WhenFull.DROP_OLDEST
        waiting, ahead = (1, min(AHEAD, self._depth)) if live else (self._depth, self._depth)
        lane = Lane(when_full, threading.Condition(self._lock), waiting, ahead)
        with self._lock:
            assert stream not in self._lanes, stream
            self._lanes[stream] = lane
        return lane

    def put(self, frame: Frame) -> bool:
        """Queue `frame`. False means: closed or left, nobody will color it."""
        with self._lock:
            lane = self._lanes.get(frame.stream)
            if lane is None:
                return False
            while lane.full and not (self._closed or lane.left):
                if lane.when_full is WhenFull.DROP_OLDEST:
                    lane.queue.popleft()
                    lane.dropped += 1
                else:
                    lane.room.wait()
            if self._closed or lane.left:
                return False
            lane.queue.append(frame)
            self._ready.notify()
            return True

    def written(self, stream: str) -> None:
        """Say that the sink is done with one frame of `stream`, which makes room for the next."""
        with self._lock:
            if lane := self._lanes.get(stream):
                lane.inside -= 1
                if lane.queue or lane.left:
                    self._ready.notify()

    def leave(self, stream: str, *, discard: bool = False) -> None:
        """Say that no more frames of `stream` come; with `discard`, that nobody wants the queued ones either."""
        with self._lock:
            if lane := self._lanes.get(stream):
                lane.left = True
                if discard:
                    lane.queue.clear()
                lane.room.notify()
                self._ready.notify()

    def close(self) -> None:
        """End the batches; every waiting thread wakes."""
        with self._lock:
            self._closed = True
            self._ready.notify_all()
            for lane in self._lanes.values():
                lane.room.notify_all()

    def __iter__(self) -> Iterator[tuple[list[Frame], list[str]]]:
        """Yield (frames to color, streams that are over once these are done)."""
        while True:
            with self._lock:
                while not (self._closed or self._something()):
                    self._ready.wait()
                self._wait_for_others()
                if self._closed:
                    return
                batch, over = self._take(), self._remove_ended()
            yield batch, over

    def _something(self) -> bool:
        return any(self._can_give(lane) or (lane.left and not lane.queue) for lane in self._lanes.values())

    def _can_give(self, lane: Lane) -> bool:
        return bool(lane.queue) and lane.has_room

    def _wait_for_others(self) -> None:
        until: float | None = None  # the clock is read only where there is somebody to wait for
        while self._worth_waiting():
            now = time.monotonic()
            until = now + self._wait if until is None else until
            if now >= until:
                return
            self._ready.wait(until - now)

    def _worth_waiting(self) -> bool:
        if self._closed or not self._wait or len(self._lanes) < 2:
            return False
        givers = [lane for lane in self._lanes.values() if lane.has_room]
        if any(lane.left or lane.full for lane in givers):
            return False  # somebody would lose time or frames
        frames = sum(len(lane.queue) for lane in givers)
        return frames < self._size and not all(lane.queue for lane in givers)

    def _take(self) -> list[Frame]:
        batch: list[Frame] = []
        while len(batch) < self._size:
            name = next((name for name, lane in self._lanes.items() if self._can_give(lane)), None)
            if name is None:
                break
            lane = self._lanes.pop(name)
            self._lanes[name] = lane  # to the back of the line
            batch.append(lane.queue.popleft())
            lane.inside += 1
            lane.room.notify()
        return batch

    def _remove_ended(self) -> list[str]:
        over = [name for name, lane in self._lanes.items() if lane.left and not lane.queue]
        for name in over:
            del self._lanes[name]
        return over
