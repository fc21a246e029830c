"""Settings → objects: the only module that knows sources, sinks, network and engine."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from streamcolor import __version__
from streamcolor.backends import Backend, open_backend
from streamcolor.backends.gpu import why_no_cuda
from streamcolor.colorizer import Colorizer, Every, Lightness, WhenColored
from streamcolor.engine import Colorize, Engine, Feed
from streamcolor.metrics import FeedCounts
from streamcolor.paths import check_paths, plain, reads_pictures, writes_folder, writes_picture
from streamcolor.report import Report
from streamcolor.settings import Settings
from streamcolor.sinks import Sink
from streamcolor.sinks.images import ImagesSink
from streamcolor.sinks.mux import MuxSink
from streamcolor.sinks.synthetic import synthetic_color
from streamcolor.sources import Source, SourceReport
from streamcolor.sources.av_source import AvSource
from streamcolor.sources.deinterlace import Deinterlace
from streamcolor.sources.hwaccel import Hwaccel, decoder
from streamcolor.sources.images import ImagesSource
from streamcolor.urls import shown

if TYPE_CHECKING:
    from streamcolor.device import Gpu, Predicting

log = logging.getLogger(__name__)

Watch: TypeAlias = Callable[[FeedCounts], None]


def colorize(
    input: str | PathLike[str],  # noqa: A002  # the word that everybody knows
    output: str | PathLike[str],
    *,
    model: str | PathLike[str] = "tiny",
    backend: str = "auto",
    codec: str | None = None,
    crf: int = 18,
    preset: str = "veryfast",
    saturation: float = 1.0,
    vividness: float | None = None,
    when_colored: WhenColored = "keep",
    deinterlace: Deinterlace = "auto",
    hwaccel: Hwaccel = "auto",
    lightness: Lightness = "luma",
    every: Every = "auto",
    overwrite: bool = False,
    progress: Watch | None = None,
) -> Report:
    """Turn the gray video (or picture, or folder of pictures) `input` into the color one `output`.

    The other arguments are explained in `Settings`; `progress` is called in this thread with the counts so far,
    a few times a second. Raises a StreamcolorError; whatever is raised, nothing half done remains at `output`.
    """
    settings = Settings(
        fspath(input),
        fspath(output),
        model=fspath(model),
        backend=backend,
        codec=codec,
        crf=crf,
        preset=preset,
        saturation=saturation,
        vividness=vividness,
        when_colored=when_colored,
        deinterlace=deinterlace,
        hwaccel=hwaccel,
        lightness=lightness,
        every=every,
        overwrite=overwrite,
    )
    return Job(settings).run(progress)


class Job:
    """One run, which can be stopped from a signal handler."""

    def __init__(self, settings: Settings) -> None:
        check_paths(settings.input, settings.output)
        self._settings = replace(settings, input=plain(settings.input), output=plain(settings.output))
        self._engine: Engine | None = None
        self._stopped = False

    def run(self, watch: Watch | None = None) -> Report:
        """Do the whole work; `Report.finished` is False after a stop. Raises StreamcolorError."""
        began = time.perf_counter()
        settings = self._settings
        backend = open_backend(settings.backend, settings.model)
        try:
            return self._run(backend, watch, began)
        finally:
            backend.close()

    def stop(self) -> None:
        """Ask `run` to end soon. Takes no lock, see Engine.stop."""
        self._stopped = True
        if self._engine:
            self._engine.stop()

    def _run(self, backend: Backend, watch: Watch | None, began: float) -> Report:
        settings = self._settings
        colorizer = open_colorizer(settings, backend)
        device = open_device(settings, backend)
        colorize = on_device(settings, backend, colorizer, device) if device else colorizer
        name = Path(shown(settings.input)).name or "input"
        sink = open_sink(settings, backend, device)
        sources: list[Source] = []

        def connect(stream: str) -> Source:
            sources.append(open_source(settings, stream, device))
            return sources[-1]

        engine = Engine(colorize, batch=backend.batch)
        self._engine = engine
        if self._stopped:  # it was asked for while the network was loading
            engine.stop()
        loaded = time.perf_counter()
        feed = Feed(name, connect, lambda: sink, leaves_file=settings.output != "-")
        engine.run([feed], watch=None if watch is None else lambda all_: watch(all_[name]))
        ended = time.perf_counter()
        counts = engine.snapshot()[name]
        found = sources[0].report() if sources else SourceReport()
        return Report(
            version=__version__,
            input=shown(settings.input),
            output=shown(settings.output),
            model=backend.network.name,
            backend=backend.name,
            finished=counts.finished > 0,
            complete=found.complete,
            frames=counts.write.frames,
            kept=colorizer.counts.kept,
            reused=colorizer.counts.reused,
            undecodable=found.undecodable,
            rescaled=found.rescaled,
            seconds=ended - loaded,
            loading_seconds=loaded - began,
            stages={"read": counts.read, "color": counts.color, "write": counts.write},
            warnings=(*found.warnings, *sink.warnings),
        )


def open_colorizer(settings: Settings, backend: Backend) -> Colorizer:
    """Make what turns frames into colored frames."""
    return Colorizer(
        backend,
        saturation=settings.saturation,
        vividness=settings.vividness,
        when_colored=settings.when_colored,
        lightness=settings.lightness,
        every=settings.every,
        stills=reads_pictures(settings.input) and (writes_picture(settings.output) or writes_folder(settings.output)),
    )


def open_device(settings: Settings, backend: Backend) -> "Gpu | None":
    """Return the GPU on which pictures stay from the decoder to the encoder; None: all of them come to memory."""
    if settings.hwaccel == "off" or why_no_cuda():
        return None
    if reason := _why_not_on_device(settings, backend):
        log.info("decoded pictures come back to memory: %s", reason)
        return None
    from streamcolor.device import Gpu  # noqa: PLC0415  # torch, for a GPU only

    return Gpu()


def _why_not_on_device(settings: Settings, backend: Backend) -> str:
    if backend.name not in ("torch", "tensorrt"):
        return f"{backend.name} runs the network on the processor"
    if settings.lightness == "exact":
        return "lightness exact is computed there"
    pictures = reads_pictures(settings.input) or writes_picture(settings.output) or writes_folder(settings.output)
    return "they are files of their own" if pictures else ""


def on_device(settings: Settings, backend: Backend, colorizer: Colorizer, device: "Gpu") -> Colorize:
    """Make what colors pictures that lie on a device."""
    from streamcolor.device import DeviceColorizer  # noqa: PLC0415  # torch, for a GPU only

    saturation, vividness = settings.saturation, settings.vividness
    predicting = cast("Predicting", backend)
    return DeviceColorizer(colorizer, predicting, device, saturation=saturation, vividness=vividness)


def open_source(settings: Settings, stream: str, device: "Gpu | None" = None) -> Source:
    """Open the input as what it is: pictures, or whatever FFmpeg can read."""
    if reads_pictures(settings.input):
        return ImagesSource(stream, Path(settings.input))
    hwaccel = decoder(settings.hwaccel, device)
    device = device if hwaccel else None
    return AvSource(stream, settings.input, deinterlace=settings.deinterlace, hwaccel=hwaccel, device=device)


def open_sink(settings: Settings, backend: Backend, device: "Gpu | None" = None) -> Sink:
    """Make the sink that the output's name asks for."""
    tag = synthetic_color(version=__version__, network=backend.network.name)
    if writes_picture(settings.output) or writes_folder(settings.output):
        return ImagesSink(settings.output, overwrite=settings.overwrite, tag=tag)
    return MuxSink(
        settings.output,
        codec=settings.codec,
        crf=settings.crf,
        preset=settings.preset,
        overwrite=settings.overwrite,
        tag=tag,
        device=device,
    )
