"""Counts per feed and stage: a few additions per frame, read from outside at any time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction

from streamcolor.frames import StreamInfo


@dataclass(slots=True)
class Stage:
    """The work of one kind for one feed. One thread at a time does it; anyone may read it."""

    frames: int = 0
    wall: float = 0.0  # seconds it was busy
    cpu: float = 0.0  # seconds of CPU time of its thread, not of those that FFmpeg or the backend keeps of its own

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count the time that the body takes, whether it succeeds or not."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.wall += time.perf_counter() - wall
            self.cpu += time.thread_time() - cpu

    def count(self, frames: int, wall: float, cpu: float) -> None:
        """Add a share of a measurement that was made elsewhere."""
        self.frames += frames
        self.wall += wall
        self.cpu += cpu


@dataclass(slots=True)
class FeedCounts:
    """The counts of one feed, over all its sessions."""

    read: Stage = field(default_factory=Stage)
    color: Stage = field(default_factory=Stage)
    write: Stage = field(default_factory=Stage)
    sessions: int = 0
    finished: int = 0  # sessions whose output is complete
    packets: int = 0  # passed through, still compressed
    dropped: int = 0  # live frames and packets that were too old to be worth the work
    expected: int | None = None  # frames of this session, as the source's header promises
    duration: float | None = None  # seconds of this session, as the header promises
    first_pts: int | None = None  # of this session, written
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

    def snapshot(self) -> "FeedCounts":
        """Return a copy, which does not change any more."""
        return replace(self, read=replace(self.read), color=replace(self.color), write=replace(self.write))

    @property
    def position(self) -> float:
        """Seconds of the session that are written."""
        first, last = self.first_pts, self.last_pts
        return 0.0 if first is None or last is None else float((last - first) * self.time_base)

    @property
    def done(self) -> float | None:
        """The part that is written, 0 to 1, or None where the source promises no length."""
        if self.expected:
            return min(1.0, self.write.frames / self.expected)
        if self.duration:
            return min(1.0, self.position / self.duration)
        return None
