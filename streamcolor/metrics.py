"""Counters per feed and stage: a few additions per frame, read from outside at any time."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from streamcolor.frames import StreamInfo

T = TypeVar("T")


class Stage:
    """The work of one kind for one feed. One thread at a time enters it; anyone may read it.

    `wall` and `cpu` are seconds; `cpu` is that of the entering thread alone, not of threads that FFmpeg or
    the backend keeps of its own.
    """

    __slots__ = ("_cpu_began", "_wall_began", "cpu", "frames", "wall")

    def __init__(self) -> None:
        self.frames = 0
        self.wall = 0.0
        self.cpu = 0.0
        self._wall_began = 0.0
        self._cpu_began = 0.0

    def __enter__(self) -> None:
        self._wall_began = time.perf_counter()
        self._cpu_began = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self.cpu += time.thread_time() - self._cpu_began
        self.wall += time.perf_counter() - self._wall_began

    def count(self, frames: int, wall: float, cpu: float) -> None:
        """Add a share of a measurement that was made elsewhere."""
        self.frames += frames
        self.wall += wall
        self.cpu += cpu

    def times(self) -> "StageTimes":
        """Give the counts of this moment."""
        return StageTimes(self.frames, self.wall, self.cpu)


def timed(items: Iterable[T], stage: Stage) -> Iterator[T]:
    """Pass `items` on, counting in `stage` the time that it takes to get each."""
    iterator = iter(items)
    nothing = object()
    while True:
        with stage:
            item = next(iterator, nothing)
        if item is nothing:
            return
        yield item  # type: ignore[misc]  # no T is `nothing`


@dataclass(slots=True)
class FeedCounters:
    """The running counts of one feed, over all its sessions."""

    read: Stage = field(default_factory=Stage)
    color: Stage = field(default_factory=Stage)
    write: Stage = field(default_factory=Stage)
    sessions: int = 0
    finished: int = 0  # sessions whose output is complete
    packets: int = 0  # passed through, still compressed
    dropped: int = 0  # live frames and packets that were too old to be worth the work
    expected: int | None = None  # frames of this session, as the source's header promises
    duration: float | None = None  # seconds of this session, as the header promises
    first_pts: int | None = None
    last_pts: int | None = None
    time_base: Fraction = Fraction(1)

    def begin_session(self, info: StreamInfo) -> None:
        """Take over what the header of a new session promises."""
        self.sessions += 1
        self.expected, self.duration, self.time_base = info.frames, info.duration, info.time_base
        self.first_pts = self.last_pts = None

    def written(self, pts: int) -> None:
        """Count a frame that the sink has taken."""
        self.write.frames += 1
        self.last_pts = pts
        if self.first_pts is None:
            self.first_pts = pts

    def snapshot(self) -> "FeedSnapshot":
        """Give the counts of this moment."""
        first, last = self.first_pts, self.last_pts
        position = 0.0 if first is None or last is None else float((last - first) * self.time_base)
        return FeedSnapshot(
            read=self.read.times(),
            color=self.color.times(),
            write=self.write.times(),
            sessions=self.sessions,
            finished=self.finished,
            packets=self.packets,
            dropped=self.dropped,
            expected=self.expected,
            duration=self.duration,
            position=position,
        )


@dataclass(frozen=True, slots=True)
class StageTimes:
    """What a stage has done so far: frames, seconds it was busy, seconds of CPU time of its own thread."""

    frames: int
    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class FeedSnapshot:
    """The counts of one feed at one moment."""

    read: StageTimes
    color: StageTimes
    write: StageTimes
    sessions: int
    finished: int
    packets: int
    dropped: int
    expected: int | None
    duration: float | None
    position: float  # seconds of the session already written

    @property
    def done(self) -> float | None:
        """The part that is written, 0 to 1, or None where the source promises no length."""
        if self.expected:
            return min(1.0, self.write.frames / self.expected)
        if self.duration:
            return min(1.0, self.position / self.duration)
        return None
