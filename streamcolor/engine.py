"""One model, many feeds: a reading and a writing thread for each, one for the model."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias

from streamcolor.channel import Batcher
from streamcolor.errors import StreamcolorError
from streamcolor.feed import LINGER, Feed, FeedRun
from streamcolor.frames import Frame
from streamcolor.metrics import FeedCounts, Stage
from streamcolor.session import Clock, Session
from streamcolor.worker import Worker

__all__ = ["Colorize", "Engine", "Feed"]

LEAST_DEPTH = 3  # frames: one is worked on, one is ready, one is on its way

Watch: TypeAlias = Callable[[Mapping[str, FeedCounts]], None]


class Colorize(Protocol):
    """Turns frames into colored frames: same number, same order, same pts."""

    def __call__(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Color a batch, in which frames of several streams may be mixed."""
        ...

    def forget(self, stream: str) -> None:
        """Drop what is kept for `stream`: it is over."""
        ...


class Engine:
    """Runs feeds through one `colorize`, in batches of up to `batch` frames. Made for one run.

    `wait`: seconds that a frame may wait for frames of other feeds to share its batch.
    `depth`: frames per feed before the model, and as many behind it; 0: as few as fill a batch, for each of them costs
    memory. Fewer of a live feed, see Batcher.
    """

    def __init__(
        self, colorize: Colorize, *, batch: int = 4, wait: float = 0.0, depth: int = 0, clock: Clock = time.monotonic
    ) -> None:
        self._colorize = colorize
        self._clock = clock
        self._batcher = Batcher(batch, wait, depth or max(LEAST_DEPTH, batch))
        self._sessions: dict[str, Session] = {}
        self._numbers = itertools.count()  # of sessions: a name is never used twice
        self._runs: dict[str, FeedRun] = {}  # of which a snapshot tells, by name
        self._readers: dict[Worker, FeedRun] = {}  # threads of feeds that have not ended, also of removed ones
        self._stopped = False  # by `stop`
        # What `run` is told: a thread has ended, add a feed, remove the one of this name, stop.
        self._events: SimpleQueue[Worker | Feed | str | None] = SimpleQueue()

    def run(
        self, feeds: Sequence[Feed] = (), *, forever: bool = False, watch: Watch | None = None, every: float = 0.25
    ) -> None:
        """Work until every feed has ended, one fails for good (its error is raised), or `stop`.

        With `forever`, to have no feed is no end: others may be added. At the end every sink is closed. A source that
        stays silent and a live sink that hangs are left to their threads, which close them when they wake.
        `watch` is called in this thread with a snapshot every `every` seconds and once at the end.
        """
        assert len({feed.name for feed in feeds}) == len(feeds), "two feeds of one name"
        failed: Worker | None = None
        model = Worker(self._color_all, name="model", on_end=self._events.put)
        try:
            for feed in feeds:
                self._start(feed, self._numbers if feed.live else None)
            failed = self._wait_for(watch, every, forever=forever)
        finally:
            self._halt()
            self._wait_for_ends(model)
        if watch:
            watch(self.snapshot())
        for ended in [failed, model, *self._readers]:
            if ended and ended.error and not (self._stopped and isinstance(ended.error, StreamcolorError)):
                raise ended.error  # but for what sources and sinks say to being cut off by a stop

    def add(self, feed: Feed) -> None:
        """Start a feed soon. One of the same name is ended first, and its sink closed. Safe from any thread."""
        self._events.put(feed)

    def remove(self, name: str) -> None:
        """End the feed of this name soon, if there is one, and forget its counts. Safe from any thread."""
        self._events.put(name)

    def stop(self) -> None:
        """Ask `run` to end soon and leave nothing half done.

        Safe from any thread and from a signal handler, because it takes no lock of ours: `SimpleQueue.put` is
        reentrant, and `run` does the rest when it comes out of whatever the signal interrupted.
        """
        self._events.put(None)

    def snapshot(self) -> dict[str, FeedCounts]:
        """Give each feed's counts of this moment."""
        now = self._clock()
        return {name: run.counters.snapshot(now) for name, run in list(self._runs.items())}

    def _start(self, feed: Feed, numbers: Iterator[int] | None) -> None:
        before = self._runs.get(feed.name)
        if before:
            before.halt()
        run = FeedRun(feed, self._batcher, self._sessions, numbers, self._clock, before)
        self._runs[feed.name] = run
        self._readers[Worker(run.keep_reading, name=f"read {feed.name}", on_end=self._events.put)] = run

    def _remove(self, name: str) -> None:
        if run := self._runs.pop(name, None):
            run.halt()

    def _wait_for(self, watch: Watch | None, every: float, *, forever: bool) -> Worker | None:
        """Do what is asked for until all feeds have ended, one thread failed (given back), or a stop."""
        while forever or self._readers:
            try:
                # Never without an end: a signal that another thread took is handled when this one wakes.
                event = self._events.get(timeout=every)
            except Empty:
                if watch:
                    watch(self.snapshot())
                continue
            if event is None:
                self._stopped = True
                return None
            if isinstance(event, Feed):
                self._start(event, self._numbers)
            elif isinstance(event, str):
                self._remove(event)
            elif event.error and not self._was_cut_off(event):
                return event
            else:
                self._readers.pop(event, None)
        return None

    def _was_cut_off(self, reader: Worker) -> bool:
        """Whether what it raised is only what sources and sinks say to being removed."""
        run = self._readers.get(reader)
        return run is not None and run.halted.is_set() and isinstance(reader.error, StreamcolorError)

    def _halt(self) -> None:
        for run in self._readers.values():
            run.halt()
        self._batcher.close()

    def _wait_for_ends(self, model: Worker) -> None:
        until = time.monotonic() + LINGER
        for run in self._readers.values():
            cleans_up = run.feed.leaves_file and not run.feed.live
            run.wait(None if cleans_up else max(0.0, until - time.monotonic()))
        model.wait()
        for reader in self._readers:
            reader.wait(max(0.0, until - time.monotonic()))

    def _color_all(self) -> None:
        for frames, over in self._batcher:
            if frames:
                spent = Stage()
                with spent.busy():
                    colored = self._colorize(frames)
                self._send(frames, colored, spent)
            for stream in over:
                self._colorize.forget(stream)
                if session := self._sessions.get(stream):
                    session.outbox.close()

    def _send(self, frames: Sequence[Frame], colored: Sequence[Frame], spent: Stage) -> None:
        wall, cpu = spent.wall / len(frames), spent.cpu / len(frames)
        for before, after in zip(frames, colored, strict=True):
            assert before.stream == after.stream, (before.stream, after.stream)
            assert before.pts == after.pts, (before.pts, after.pts)
            if session := self._sessions.get(after.stream):
                session.counters.color.count(1, wall, cpu)
                session.outbox.put_admitted(after)
