"""One model, many feeds: a reading and a writing thread for each, one for the model."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeAlias

from streamcolor.channel import Batcher, Channel, WhenFull
from streamcolor.errors import SinkError, SourceError, StreamcolorError
from streamcolor.frames import Frame
from streamcolor.metrics import FeedCounts, Stage
from streamcolor.session import Session
from streamcolor.worker import Worker

if TYPE_CHECKING:
    from streamcolor.sinks import Sink
    from streamcolor.sources import Source

log = logging.getLogger(__name__)

STEADY = 60.0  # seconds; a session that lived this long starts again at the shortest retry delay
LINGER = 2.0  # seconds that an ending run waits for a source that does not come back
PACKETS = 256  # compressed packets of a session that may wait for its sink

Clock: TypeAlias = Callable[[], float]
Watch: TypeAlias = Callable[[Mapping[str, FeedCounts]], None]


class Colorize(Protocol):
    """Turns frames into colored frames: same number, same order, same pts."""

    def __call__(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Color a batch, in which frames of several streams may be mixed."""
        ...

    def forget(self, stream: str) -> None:
        """Drop what is kept for `stream`: it is over."""
        ...


@dataclass(frozen=True)
class Feed:
    """One input and one output. A live feed is reopened whenever it breaks or ends."""

    name: str
    connect: Callable[[str], "Source"]  # given the name of this session: every session is a new stream
    make_sink: Callable[[], "Sink"]
    live: bool = False
    retry_delays: Sequence[float] = (1, 2, 5, 10, 30)  # seconds; the last one repeats

    @property
    def when_full(self) -> WhenFull:
        """The policy of this feed's queues."""
        return WhenFull.DROP_OLDEST if self.live else WhenFull.WAIT


class Engine:
    """Runs feeds through one `colorize`, in batches of up to `batch` frames.

    `wait`: seconds that a frame may wait for frames of other feeds to share its batch.
    `depth`: frames per feed before the model, and as many behind it.
    """

    def __init__(
        self, colorize: Colorize, *, batch: int = 4, wait: float = 0.0, depth: int = 6, clock: Clock = time.monotonic
    ) -> None:
        self._colorize = colorize
        self._clock = clock
        self._batcher = Batcher(batch, wait, depth)
        self._sessions: dict[str, Session] = {}
        self._counters: dict[str, FeedCounts] = {}
        self._halted = threading.Event()
        self._stopped = False  # halted by `stop`
        self._ends: SimpleQueue[Worker | None] = SimpleQueue()  # workers that ended; None: stop was asked for

    def run(self, feeds: Sequence[Feed], *, watch: Watch | None = None, every: float = 0.25) -> None:
        """Work until every feed has ended, one fails for good (its error is raised), or `stop`.

        Every sink is closed then. A source that stays silent is left to its thread, which closes it when it wakes.
        `watch` is called in this thread with a snapshot every `every` seconds and once at the end.
        """
        self._counters = {feed.name: FeedCounts() for feed in feeds}
        assert len(self._counters) == len(feeds), "two feeds of one name"
        failed: Worker | None = None
        workers = [Worker(self._color_all, name="model", on_end=self._ends.put)]
        try:
            for feed in feeds:
                work = partial(self._keep_reading, feed)
                workers.append(Worker(work, name=f"read {feed.name}", on_end=self._ends.put))
            failed = self._wait_for(len(feeds), watch, every)
        finally:
            self._halt()
            self._wait_for_ends(workers)
        if watch:
            watch(self.snapshot())
        for ended in [failed, *workers]:
            if ended and ended.error and not (self._stopped and isinstance(ended.error, StreamcolorError)):
                raise ended.error  # but for what sources and sinks say to being cut off by a stop

    def stop(self) -> None:
        """Ask `run` to end soon and leave nothing half done.

        Safe from any thread and from a signal handler, because it takes no lock of ours: `SimpleQueue.put` is
        reentrant, and `run` does the rest when it comes out of whatever the signal interrupted.
        """
        self._ends.put(None)

    def snapshot(self) -> dict[str, FeedCounts]:
        """Give each feed's counts of this moment."""
        return {name: counters.snapshot() for name, counters in list(self._counters.items())}

    def _wait_for(self, readers: int, watch: Watch | None, every: float) -> Worker | None:
        """Wait until `readers` workers have ended well, one failed (given back), or a stop."""
        while readers:
            try:
                ended = self._ends.get(timeout=every if watch else None)
            except Empty:
                assert watch is not None
                watch(self.snapshot())
                continue
            if ended is None or ended.error:
                self._stopped = ended is None
                return ended
            readers -= 1
        return None

    def _wait_for_ends(self, workers: Sequence[Worker]) -> None:
        until = time.monotonic() + LINGER
        for session in list(self._sessions.values()):
            session.over.wait()
        model, *readers = workers
        model.wait()
        for reader in readers:
            reader.wait(max(0.0, until - time.monotonic()))

    def _halt(self) -> None:
        # A session registers itself and then looks at the flag; we set the flag and then look at the sessions.
        # So none slips through, whoever comes first.
        self._halted.set()
        self._batcher.close()
        for session in list(self._sessions.values()):
            session.outbox.close(discard=True)

    def _keep_reading(self, feed: Feed) -> None:
        failures = 0
        for number in itertools.count():
            began = self._clock()
            failures += 1
            try:
                self._run_session(feed, f"{feed.name}/{number}" if feed.live else feed.name)
            except (SourceError, SinkError) as error:
                if not feed.live:
                    raise
                log.warning("%s", error)
            if not feed.live:
                return
            if self._clock() - began > STEADY:
                failures = 1
            if self._halted.wait(feed.retry_delays[min(failures, len(feed.retry_delays)) - 1]):
                return

    def _run_session(self, feed: Feed, stream: str) -> None:
        """Read one connection to its end, while a second thread writes."""
        source = feed.connect(stream)
        try:
            sink = feed.make_sink()
            lane = self._batcher.join(stream, feed.when_full)
            session = Session(stream, lane, Channel(PACKETS, feed.when_full), self._counters[feed.name])
            self._sessions[stream] = session
            error = None if self._halted.is_set() else self._read_and_write(session, source, sink)
        finally:
            if ended := self._sessions.pop(stream, None):
                ended.over.set()
            source.close()  # only now: packets and planes on the road belong to it
        if error:
            raise error

    def _read_and_write(self, session: Session, source: "Source", sink: "Sink") -> BaseException | None:
        """Raise what the source raised; give what the sink raised."""

        def on_end(writer: Worker) -> None:
            session.over.set()
            if writer.error:  # wake the reader: nobody will take its frames
                session.outbox.close(discard=True)
                self._batcher.leave(session.stream, discard=True)

        session.counters.begin_session(source.info)
        work = partial(session.write, sink, source.info, self._batcher)
        writer = Worker(work, name=f"write {session.stream}", on_end=on_end)
        try:
            session.complete = session.read(source, self._batcher, self._halted)
        finally:
            self._batcher.leave(session.stream)
            if self._halted.is_set():
                session.outbox.close(discard=True)  # the model, which would close it, may be gone
            error = writer.wait()
        return error

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
