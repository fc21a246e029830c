"""One connection of a feed: what its reading and its writing thread do."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamcolor.channel import Batcher, Channel, Lane
from streamcolor.frames import Frame, Item, StreamInfo
from streamcolor.metrics import FeedCounts

if TYPE_CHECKING:
    from streamcolor.sinks import Sink
    from streamcolor.sources import Source


@dataclass(slots=True)
class Session:
    """One connection of a feed, and the part of the road that is its own."""

    stream: str
    lane: Lane
    outbox: Channel[Item]
    counters: FeedCounts
    over: threading.Event = field(default_factory=threading.Event)  # the sink is closed
    complete: bool = False  # the source ended by itself; set before leave(), read when the outbox is empty

    def read(self, source: "Source", batcher: Batcher, halted: threading.Event) -> bool:
        """Send every item on its way; say whether the source ended by itself."""
        counters, outbox, lane = self.counters, self.outbox, self.lane
        dropped = counters.dropped
        items = iter(source)
        while True:
            with counters.read.busy():
                item = next(items, None)
            if item is None:
                return True
            if isinstance(item, Frame):
                counters.read.frames += 1
                taken = batcher.put(item)
            else:
                counters.packets += 1
                taken = outbox.put(item)
            counters.dropped = dropped + lane.dropped + outbox.dropped
            if not taken or halted.is_set():
                return False

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
                    counters.written(item.pts)
                    batcher.written(self.stream)
            if self.complete and not self.outbox.cut:
                with counters.write.busy():
                    sink.finish()
                counters.finished += 1
        finally:
            sink.close()
