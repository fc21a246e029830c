"""A camera's settings → its feed and its broadcast, and the run of one camera."""

import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from functools import partial
from pathlib import PurePath
from typing import TypeAlias

from streamcolor import __version__
from streamcolor.backends import open_backend
from streamcolor.engine import Engine, Feed
from streamcolor.errors import ConfigError, SinkError
from streamcolor.feed import RETRY
from streamcolor.metrics import FeedCounts
from streamcolor.report import as_json
from streamcolor.settings import Settings
from streamcolor.sinks.broadcast import Broadcast, BroadcastState
from streamcolor.sinks.destinations import destination
from streamcolor.sinks.live_encoder import check_codec
from streamcolor.sinks.synthetic import synthetic_color
from streamcolor.sources.deinterlace import Deinterlace
from streamcolor.sources.live import LiveSource, Transport
from streamcolor.urls import shown
from streamcolor.wiring import open_colorizer
from streamcolor.worker import share_heaps

LiveWatch: TypeAlias = Callable[[FeedCounts, BroadcastState], None]


@dataclass(frozen=True)
class LiveSettings:
    """One camera and where it goes."""

    name: str
    input: str
    outputs: tuple[str, ...] = ()
    _: KW_ONLY
    transport: Transport = "tcp"
    freeze: float = 3.0  # seconds without a picture until it is opened again
    deinterlace: Deinterlace = "auto"
    codec: str | None = None  # FFmpeg's name of an encoder; None: libx264
    crf: int = 23
    preset: str = "veryfast"
    segment: float | None = None  # seconds after which files are ended and new ones begun
    overwrite: bool = False  # the first file of a name; else a number is added to it

    def __post_init__(self) -> None:
        doubles = {shown(output) for output in self.outputs if self.outputs.count(output) > 1}
        if doubles:
            raise ConfigError(f"{', '.join(sorted(doubles))} is named twice: an output has one place")
        if self.segment is not None and self.segment < 1:
            raise ConfigError(f"a segment of {self.segment:g} s: choose a second or more, such as 10m")


def live_feed(settings: LiveSettings, *, tag: str = "") -> tuple[Feed, Broadcast]:
    """Make a feed that never gives up and the broadcast of all its sessions; nothing is opened yet.

    Raises ConfigError or SinkError for outputs and codecs that cannot be. Close the broadcast after the feed's end.
    """
    codec = check_codec(settings.codec, settings.preset)
    file = partial(destination, codec=codec, segment=settings.segment, overwrite=settings.overwrite)
    destinations = [file(output) for output in settings.outputs]
    broadcast = Broadcast(settings.name, destinations, codec=codec, crf=settings.crf, preset=settings.preset, tag=tag)

    def connect(stream: str) -> LiveSource:
        return LiveSource(
            stream,
            settings.input,
            freeze=settings.freeze,
            transport=settings.transport,
            deinterlace=settings.deinterlace,
        )

    delays = () if settings.input == "-" else RETRY  # what standard input has given, it does not give again
    return Feed(settings.name, connect, broadcast.make_sink, live=True, retry_delays=delays), broadcast


@dataclass(frozen=True)
class LiveReport:
    """The account of a live run; `as_json` has every field of both parts."""

    input: str  # without its password
    model: str
    backend: str
    seconds: float
    counts: FeedCounts
    broadcast: BroadcastState

    def as_json(self) -> str:
        """One JSON object, indented, ending with a line break."""
        counts, broadcast = self.counts, self.broadcast
        return as_json(
            {
                "version": __version__,
                "input": self.input,
                "outputs": [asdict(outlet) for outlet in broadcast.outlets],
                "model": self.model,
                "backend": self.backend,
                "seconds": self.seconds,
                "frames": broadcast.frames,
                "cards": broadcast.cards,
                "dropped": counts.dropped,
                "reconnects": counts.reconnects,
                "error": counts.error,
                "delay_p50": counts.delays.quantile(0.5),
                "delay_p95": counts.delays.quantile(0.95),
                "stages": {name: asdict(getattr(counts, name)) for name in ("read", "color", "write")},
            }
        )

    def summary(self) -> str:
        """One line for a person."""
        frames, lost = self.broadcast.frames, self.counts.dropped
        outputs = ", ".join(outlet.name for outlet in self.broadcast.outlets)
        return f"{outputs}: {frames} frames, {lost} dropped, {self.counts.reconnects} reconnects, {self.seconds:.0f} s"


class LiveJob:
    """The run of one camera, until it is stopped."""

    def __init__(self, settings: Settings, live: LiveSettings) -> None:
        self._settings, self._live = settings, live
        self._engine: Engine | None = None
        self._stopped = False

    def stop(self) -> None:
        """Ask `run` to end soon. Takes no lock, see Engine.stop."""
        self._stopped = True
        if self._engine:
            self._engine.stop()

    def run(self, watch: LiveWatch | None = None) -> LiveReport:
        """Work until `stop`, the end of standard input, or until no output can ever be written again (SinkError)."""
        share_heaps()
        settings, live = self._settings, self._live
        backend = open_backend(settings.backend, settings.model)
        try:
            feed, broadcast = live_feed(live, tag=synthetic_color(version=__version__, network=backend.network.name))
            self._engine = engine = Engine(open_colorizer(settings, backend), batch=backend.batch)
            if self._stopped:  # it was asked for while the network was loading
                engine.stop()
            began = time.monotonic()

            def look(all_: Mapping[str, FeedCounts]) -> None:
                state = broadcast.snapshot()
                if watch:
                    watch(all_[feed.name], state)
                if state.is_over:
                    raise SinkError(state.outlets[0].error)

            try:
                engine.run([feed], watch=look, every=1.0)
            finally:
                broadcast.close()
            counts, state = engine.snapshot()[feed.name], broadcast.snapshot()
        finally:
            backend.close()
        seconds = time.monotonic() - began
        return LiveReport(shown(live.input), backend.network.name, backend.name, seconds, counts, state)


def name_of(url: str) -> str:
    """Name a camera that has no name: the last part of its address, without secrets."""
    return PurePath(shown(url).partition("?")[0]).name or "input"
