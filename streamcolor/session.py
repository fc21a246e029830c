"""One connection of a feed: what its reading and its writing thread do."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from streamcolor.channel import Batcher, Channel, Lane
from streamcolor.frames import Frame, Item, StreamInfo
from streamcolor.metrics import FeedCounts

if TYPE_CHECKING:
    from streamcolor.sinks import Sink
    from streamcolor.sources import Source

log = logging.getLogger(__name__)

Clock: TypeAlias = Callable[[], float]

SAY_DROPS = 1.0  # seconds between two lines about dropped frames


@dataclass(slots=True)
class Session:
    """One connection of a feed, and the part of the road that is its own."""

    feed: str  # its name
    stream: str
    lane: Lane
    outbox: Channel[Item]
    counters: FeedCounts
    clock: Clock
    over: threading.Event = field(default_factory=threading.Event)  # the sink is closed
    complete: bool = False  # the source ended by itself; set before leave(), read when the outbox is empty

    def read(self, source: "Source", batcher: Batcher, halted: threading.Event) -> bool:
        """Send every item on its way; say whether the source ended by itself."""
        counters = self.counters
        before, told, tell_at = counters.dropped, counters.dropped, self.clock()
        items = iter(source)
        while True:
            with counters.read.busy():
                item = next(items, None)
            if item is None:
                return True
            taken = self._send(item, batcher)
            counters.dropped = before + self.lane.dropped + self.outbox.dropped
            if counters.dropped > told and (now := self.clock()) >= tell_at:
                log.warning("%s: frames dropped: %d, newer ones had come", self.feed, counters.dropped - told)
                told, tell_at = counters.dropped, now + SAY_DROPS
            if not taken or halted.is_set():
                return False

    def _send(self, item: Item, batcher: Batcher) -> bool:
        """Put an item on its road; False means: nobody wants it."""
        if isinstance(item, Frame):
            self.counters.read.frames += 1
            self.counters.last_frame = item.captured
            return batcher.put(item)
        self.counters.packets += 1
        return self.outbox.put(item)

    def write(self, sink: "Sink", info: StreamInfo, batcher: Batcher) -> None:
        """Write until the outbox closes; finish only what is whole."""
        counters = self.counters
        try:
            with counters.write.busy():
                sink.open(info)
            for item in self.outbox:
                with counters.write.busy():
                    sink.write(item)
                if isinstance(item, Frame):
                    counters.written(item.pts, item.captured, self.clock())
                    batcher.written(self.stream)
            if self.complete and not self.outbox.cut:
                with counters.write.busy():
                    sink.finish()
                counters.finished += 1
        finally:
            sink.close()
