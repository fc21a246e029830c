"""Counts per feed and stage: a few additions per frame, read from outside at any time."""

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from itertools import accumulate

from streamcolor.frames import StreamInfo

BOUNDS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)  # seconds
WINDOW = 5  # whole seconds over which a rate is taken


class State(StrEnum):
    """What a feed is doing."""

    CONNECTING = "connecting"  # not yet opened for the first time
    LIVE = "live"
    LOST = "lost"  # it is tried again and again
    DENIED = "denied"  # its password is wrong: it is tried again, but seldom
    ENDED = "ended"


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
class Histogram:
    """How often a time fell between which of the fixed `BOUNDS`."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))  # the last: longer than all bounds
    total: float = 0.0  # seconds

    def count(self, seconds: float) -> None:
        """Add one time; a bound belongs to what is below it."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def quantile(self, share: float) -> float | None:
        """Return the bound below which `share` (0 to 1) of all times lie; None without any; infinity above all."""
        wanted = share * sum(self.counts)
        bounds = (*BOUNDS, float("inf"))
        reached = zip(bounds, accumulate(self.counts), strict=True)
        return next((bound for bound, count in reached if count >= wanted), None) if wanted else None


@dataclass(slots=True)
class Rate:
    """How many events there are per second, counted by whole seconds: no list of moments, nothing to lock."""

    began: int | None = None  # the second of the first event
    counts: list[int] = field(default_factory=lambda: [0] * (WINDOW + 1))
    seconds: list[int] = field(default_factory=lambda: [-1] * (WINDOW + 1))  # to which second a count belongs

    def count(self, now: float) -> None:
        """Note an event."""
        second = int(now)
        place = second % len(self.counts)
        if self.seconds[place] != second:
            self.counts[place], self.seconds[place] = 0, second
        self.counts[place] += 1
        self.began = second if self.began is None else self.began

    def __call__(self, now: float) -> float:
        """Return the rate over the last whole seconds, up to `WINDOW` of them."""
        present = int(now)
        if self.began is None or present <= self.began:
            return 0.0
        window = min(WINDOW, present - self.began)
        pairs = zip(self.counts, self.seconds, strict=True)
        return sum(count for count, second in pairs if present - window <= second < present) / window


@dataclass(slots=True)
class FeedCounts:
    """The counts of one feed, over all its sessions. All moments are monotonic."""

    read: Stage = field(default_factory=Stage)
    color: Stage = field(default_factory=Stage)
    write: Stage = field(default_factory=Stage)
    state: State = State.CONNECTING
    since: float = 0.0  # when that began
    error: str = ""  # why it was lost the last time, without passwords
    sessions: int = 0
    finished: int = 0  # sessions whose output is complete
    packets: int = 0  # passed through, still compressed
    dropped: int = 0  # live frames and packets that were too old to be worth the work
    expected: int | None = None  # frames of this session, as the source's header promises
    duration: float | None = None  # seconds of this session, as the header promises
    first_pts: int | None = None  # of this session, written
    last_pts: int | None = None
    time_base: Fraction = Fraction(1)
    last_frame: float | None = None  # when the latest frame was captured
    rate: Rate = field(default_factory=Rate)  # of frames that the sink has taken; a snapshot has `fps` instead
    fps: float = 0.0
    delays: Histogram = field(default_factory=Histogram)  # from captured to taken by the sink

    def turn(self, state: State, now: float, error: str | None = None) -> None:
        """Change the state; a feed that stays lost has been so since it was lost."""
        if state is not self.state:
            self.state, self.since = state, now
        self.error = self.error if error is None else error

    def begin_session(self, info: StreamInfo) -> None:
        """Take over what the header of a new session promises."""
        self.sessions += 1
        self.expected, self.duration, self.time_base = info.frames, info.duration, info.time_base
        self.first_pts = self.last_pts = None

    def written(self, pts: int, captured: float, now: float) -> None:
        """Count a frame that the sink has taken."""
        self.write.frames += 1
        self.delays.count(max(0.0, now - captured))
        self.rate.count(now)
        self.last_pts = pts
        if self.first_pts is None:
            self.first_pts = pts

    def snapshot(self, now: float) -> "FeedCounts":
        """Return a copy, which does not change any more."""
        return replace(
            self,
            read=replace(self.read),
            color=replace(self.color),
            write=replace(self.write),
            delays=replace(self.delays, counts=list(self.delays.counts)),
            rate=Rate(),
            fps=self.rate(now),
        )

    @property
    def reconnects(self) -> int:
        """How many times it was opened again."""
        return max(0, self.sessions - 1)

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
