"""One input on its way to one output: session after session, retry lives here and nowhere else."""

import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from streamcolor.channel import Batcher, Channel, WhenFull
from streamcolor.errors import SinkError, SourceDenied, SourceError
from streamcolor.frames import Item, StreamInfo
from streamcolor.metrics import FeedCounts, State
from streamcolor.session import Clock, Session
from streamcolor.worker import Worker, give_memory_back

if TYPE_CHECKING:
    from streamcolor.sinks import Sink
    from streamcolor.sources import Source

log = logging.getLogger(__name__)

RETRY = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)  # seconds: at once after a loss, and soon when an outage of an hour ends
DENIED = (5.0, 15.0, 30.0, 60.0)  # seconds: cameras lock an account after some wrong passwords
STEADY = 5.0  # seconds; a session that lived this long starts again at the shortest retry delay
LINGER = 2.0  # seconds that is waited for a source or a live sink that does not come back
PACKETS = 256  # compressed packets of a session that may wait for its sink


@dataclass(frozen=True)
class Feed:
    """One input and one output. A live feed is reopened whenever it breaks or ends, if it has retry delays."""

    name: str
    connect: Callable[[str], "Source"]  # given the name of this session: every session is a new stream
    make_sink: Callable[[], "Sink"]
    live: bool = False
    retry_delays: Sequence[float] = RETRY  # seconds; the last one repeats; none: what ended is not opened again
    denied_delays: Sequence[float] = DENIED  # the same, where the password is wrong
    leaves_file: bool = True  # a stop waits for the sink to clean up; else, as for a live one, no longer than LINGER

    @property
    def when_full(self) -> WhenFull:
        """The policy of this feed's queues."""
        return WhenFull.DROP_OLDEST if self.live else WhenFull.WAIT

    @property
    def reopened(self) -> bool:
        """Whether an end is not the end."""
        return self.live and bool(self.retry_delays)


def pause(delays: Sequence[float], failures: int) -> float:
    """Return the seconds to wait after so many failures in a row, spread so that cameras do not return in step."""
    return delays[min(failures, len(delays)) - 1] * random.uniform(0.75, 1.0)  # noqa: S311  # not for secrets


@dataclass(eq=False)
class FeedRun:
    """A feed at work. Its reading thread runs `keep_reading`; everybody may `halt` it."""

    feed: Feed
    batcher: Batcher
    sessions: dict[str, Session]  # of all feeds, by stream: how the model finds the outbox of a frame
    numbers: Iterator[int] | None  # of all sessions; None: it has but one, which has the feed's own name
    clock: Clock
    before: "FeedRun | None" = None  # the feed that this one replaces
    counters: FeedCounts = field(default_factory=FeedCounts)
    halted: threading.Event = field(default_factory=threading.Event)
    session: Session | None = None  # the present one

    def halt(self) -> None:
        """End the present session, and let no other begin."""
        # A session registers itself and then looks at the flag; we set the flag and then look at the session.
        # So none slips through, whoever comes first.
        self.halted.set()
        if session := self.session:
            session.outbox.close(discard=True)
            self.batcher.leave(session.stream, discard=True)

    def wait(self, seconds: float | None) -> None:
        """Wait until the sink of the session that was halted is closed, `seconds` at most."""
        if session := self.session:
            session.over.wait(seconds)

    def keep_reading(self) -> None:
        """Run sessions until the feed has ended or is halted. Raises what ended it for good."""
        self.counters.since = self.clock()
        if self.before:
            self.before.wait(LINGER)
            self.before = None
        failures = denials = 0
        while not self.halted.is_set():
            began = self.clock()
            stream = f"{self.feed.name}/{next(self.numbers)}" if self.numbers else self.feed.name
            error = self._try_session(stream)
            if self.halted.is_set() or not self.feed.reopened:
                break
            if self.counters.state is State.LIVE:
                give_memory_back()  # the decoder's
            self._tell(stream, error)
            steady = self.clock() - began > STEADY
            denials = denials + 1 if isinstance(error, SourceDenied) else 0
            failures = 1 if steady else failures + 1
            delay = pause(self.feed.denied_delays, denials) if denials else pause(self.feed.retry_delays, failures)
            self.halted.wait(max(0.0, delay - (self.clock() - began)))  # an attempt that took long has waited
        self.counters.turn(State.ENDED, self.clock())

    def _try_session(self, stream: str) -> SourceError | SinkError | None:
        """Run a session; give what ended it if it is to be tried again."""
        try:
            self._run_session(stream)
        except (SourceError, SinkError) as error:
            if not self.feed.reopened:
                raise
            return error.with_traceback(None)  # which holds all that was open
        return None

    def _tell(self, stream: str, error: SourceError | SinkError | None) -> None:
        """Log what is new: an outage of an hour is one line, not one for each attempt."""
        name = self.feed.name
        text = str(error).removeprefix(f"{stream}: ") if error else "the input ended"
        state = State.DENIED if isinstance(error, SourceDenied) else State.LOST
        if state is not self.counters.state or text != self.counters.error:
            log.warning("%s: %s", name, text)
        self.counters.turn(state, self.clock(), text)

    def _run_session(self, stream: str) -> None:
        """Read one connection to its end, while a second thread writes."""
        feed = self.feed
        source = feed.connect(stream)
        try:
            if self.halted.is_set():
                return
            sink = feed.make_sink()
            lane = self.batcher.join(stream, feed.when_full)
            outbox: Channel[Item] = Channel(PACKETS, feed.when_full)
            session = Session(feed.name, stream, lane, outbox, self.counters, self.clock)
            self.session = self.sessions[stream] = session
            error = None if self.halted.is_set() else self._read_and_write(session, source, sink)
        finally:
            if ended := self.sessions.pop(stream, None):
                ended.over.set()
            self.batcher.leave(stream, discard=True)  # where it did not come to that
            source.close()  # only now: packets and planes on the road belong to it
        if error:
            raise error

    def _begin(self, info: StreamInfo) -> None:
        now, counters = self.clock(), self.counters
        if self.feed.live:
            size = f"{info.width}x{info.height}"
            log.info("%s: live, %s, after %.1f s", self.feed.name, size, now - counters.since)
        counters.begin_session(info)
        counters.turn(State.LIVE, now)

    def _read_and_write(self, session: Session, source: "Source", sink: "Sink") -> BaseException | None:
        """Raise what the source raised; give what the sink raised."""

        def on_end(writer: Worker) -> None:
            session.over.set()
            if writer.error:  # wake the reader: nobody will take its frames
                session.outbox.close(discard=True)
                self.batcher.leave(session.stream, discard=True)

        self._begin(source.info)
        work = partial(session.write, sink, source.info, self.batcher)
        writer = Worker(work, name=f"write {session.stream}", on_end=on_end)
        try:
            session.complete = session.read(source, self.batcher, self.halted)
        finally:
            self.batcher.leave(session.stream)
            if self.halted.is_set():
                session.outbox.close(discard=True)  # the model, which would close it, may be gone
            error = writer.wait()
        return error
