"""The whole pipeline, as it runs for a file and for cameras, with each frame's delay noted."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streamcolor.backends import Backend
from streamcolor.bench.measure import Cost, cost_of
from streamcolor.colorizer import Colorizer, Counts
from streamcolor.engine import Engine, Feed
from streamcolor.frames import Frame, Item
from streamcolor.sinks import Sink
from streamcolor.sinks.mux import MuxSink
from streamcolor.sources import Source
from streamcolor.sources.av_source import AvSource
from streamcolor.worker import usable_cores

CAMERA = 25  # frames per second
SETTLING = 1.0  # seconds at both ends of a live run that do not count: encoders are opened, the last frames are cut off


@dataclass(frozen=True)
class Output:
    """What the colored pictures are written with."""

    folder: Path
    codec: str = "libx264"
    preset: str = "veryfast"

    def sink(self, name: str = "out") -> Sink:
        """Make the sink that `streamcolor run` would."""
        return MuxSink(self.folder / f"{name}.mkv", codec=self.codec, preset=self.preset, overwrite=True)


@dataclass
class Window:
    """The frames of a live run that were decoded neither at its very beginning nor at its very end."""

    opens: float  # monotonic seconds
    closes: float
    offered: int = 0
    delays: list[float] = field(default_factory=list)  # seconds from decoded to encoded

    def holds(self, item: Item) -> bool:
        """Whether this is a frame that counts."""
        return isinstance(item, Frame) and self.opens <= item.captured <= self.closes


class Paced:
    """A source at the speed of a camera: what it gives is read when it is due."""

    def __init__(
        self,
        source: Source,
        window: Window,
        *,
        late: float,  # seconds by which this camera is behind the others
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.info, self.close, self.report = source.info, source.close, source.report
        self._source, self._window, self._late, self._clock, self._sleep = source, window, late, clock, sleep

    def __iter__(self) -> Iterator[Item]:
        """Give each item when its time has come."""
        due, items = self._clock() + self._late, iter(self._source)
        while True:
            self._sleep(max(0.0, due - self._clock()))
            item = next(items, None)
            if item is None:
                return
            self._window.offered += self._window.holds(item)
            due += float(1 / self.info.rate)
            yield item


class Watched:
    """A sink that notes how long after its decoding each frame of the window was written."""

    def __init__(self, sink: Sink, window: Window, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.warnings: tuple[str, ...] = ()
        self.open, self.finish, self.close = sink.open, sink.finish, sink.close
        self._sink, self._window, self._clock = sink, window, clock

    def write(self, item: Item) -> None:
        """Write, then note the time."""
        self._sink.write(item)
        if isinstance(item, Frame) and self._window.holds(item):
            self._window.delays.append(self._clock() - item.captured)


class Pipeline:
    """Everything between a file and its colored copy, with one network that stays loaded."""

    def __init__(self, backend: Backend, clip: Path, output: Output, *, batch: int | None = None) -> None:
        self.counts = Counts()  # of the latest run
        self._backend, self._clip, self._output = backend, clip, output
        self._batch = batch or backend.batch
        self._engine: Engine | None = None
        self._stopped = False

    def stop(self) -> None:
        """Ask this run, or the next, to end soon; takes no lock, see Engine.stop."""
        self._stopped = True
        if self._engine:
            self._engine.stop()

    def color_file(self) -> Cost:
        """Color the clip as fast as it goes."""
        return self._run([Feed("bench", self._open, self._output.sink)])

    def color_live(self, streams: int, *, seconds: float) -> dict[str, Any]:
        """Color so many cameras that all show the clip, `seconds` long: what was lost, and how late the rest was."""
        began = time.monotonic()
        window = Window(began + SETTLING, began + seconds - SETTLING)

        def feed(number: int) -> Feed:
            return Feed(
                f"camera{number}",
                lambda stream: Paced(self._open(stream), window, late=number / streams / CAMERA),
                lambda: Watched(self._output.sink(f"live{number}"), window),
                live=True,
                retry_delays=(),  # its end is the end
            )

        feeds = [feed(number) for number in range(streams)]
        return {"streams": streams, **_live(window, self._run(feeds))}

    def _run(self, feeds: list[Feed]) -> Cost:
        colorizer = Colorizer(self._backend)
        engine = self._engine = Engine(colorizer, batch=self._batch)
        if self._stopped:  # it was asked for before there was an engine
            engine.stop()
        cost = cost_of(lambda: engine.run(feeds))
        self.counts, self._engine = colorizer.counts, None
        return cost

    def _open(self, stream: str) -> Source:
        return AvSource(stream, str(self._clip))


def _live(window: Window, cost: Cost) -> dict[str, Any]:
    delays = window.delays or [0.0]
    return {
        "offered": window.offered,
        "written": len(window.delays),
        "lost": round(1 - len(window.delays) / max(window.offered, 1), 4),
        "delay_ms": {f"p{part}": round(float(np.percentile(delays, part)) * 1000, 1) for part in (50, 95, 99)},
        "processor": round(cost.cpu / cost.wall / usable_cores(), 3),
    }
