"""Export a network for a GPU, with all that is done before and after it, as an ONNX graph or a TensorRT engine.

Nothing is written before the graph has colored test pictures as the processor does. Needs the extra `train`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from streamcolor.backends import SINGLE, find_model, open_backend, single_precision
from streamcolor.backends.fused import Fusion, Precision, graph_of, network_of
from streamcolor.color import code_range, neutral
from streamcolor.colorizer import Colorizer
from streamcolor.errors import BackendError, ConfigError
from streamcolor.frames import ColorSpace, Frame
from streamcolor.sinks.partial import PartialFile

Target: TypeAlias = Literal["onnx", "tensorrt"]
Planes: TypeAlias = NDArray[np.uint8]
Watch: TypeAlias = Callable[[str, float], bool | None]
"""Told what is being done, and how much of it is done, 0 (nobody knows) to 1; False: stop, by KeyboardInterrupt."""

# Codes that Cb and Cr may differ on average. Rounding at two sizes makes 0.2; in int8 both sides round differently.
TOLERANCES: Final[dict[Precision, float]] = {"fp32": 0.5, "fp16": 0.5, "int8": 1.0}
PICTURES: Final = 3  # to compare on
SUFFIXES: Final[dict[Target, str]] = {"onnx": ".onnx", "tensorrt": ".plan"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of an export."""

    path: Path
    bytes: int
    deviation: tuple[float, float]  # codes that Cb, Cr differ from the processor's on average


def export(
    model: str | Path,
    fusion: Fusion,
    *,
    to: Target = "onnx",
    batch: Sequence[int] = (1, 16, 64),
    output: Path | None = None,
    overwrite: bool = False,
    watch: Watch = lambda _what, _part: None,
) -> Exported:
    """Write a network, by its name or file, as a graph or an engine.

    `batch` is how many pictures at once an engine takes: the fewest, the usual, the most; a graph takes any number.
    Without an `output` the name says what is in it. Whatever is raised (a StreamcolorError), nothing half done remains.
    """
    if len(batch) != 3 or not 0 < batch[0] <= batch[1] <= batch[2]:
        raise ConfigError(f"batch is {','.join(map(str, batch))}: give the fewest, the usual and the most: 1,16,64")
    network = network_of(find_model(model))
    file = network.path if fusion.precision == "int8" else single_precision(network)
    path = output or Path(f"{file.stem.removesuffix(SINGLE)}-{fusion}{SUFFIXES[to]}")
    partial = PartialFile(path, overwrite=overwrite)
    try:
        _begin(watch, "exporting the graph")
        made = graph_of(file, fusion)
        _begin(watch, "comparing it with the processor")
        deviation = compared(made, file, fusion)
        if to == "tensorrt":
            _begin(watch, "building the engine")
            made = _engine(made, fusion, batch, watch)
        _begin(watch, "writing it")
        partial.write(made)
        partial.keep()
    finally:
        partial.discard()
    return Exported(path, len(made), deviation)


def compared(graph: bytes, model: Path, fusion: Fusion) -> tuple[float, float]:
    """Return by how many codes Cb and Cr of a graph differ from the processor's; BackendError: by too many."""
    luma_NHW = scenes(PICTURES, fusion.height, fusion.width, fusion.space)
    expected, vividness = processor_colors(luma_NHW, model, fusion.space)
    found = _run(graph, luma_NHW, vividness=vividness)
    if fusion.layout == "nv12":
        found = np.moveaxis(found, -1, 1)
    cb, cr = np.abs(found.astype(np.float32) - expected).mean((0, 2, 3))
    allowed = TOLERANCES[fusion.precision]
    if not max(cb, cr) <= allowed:
        raise BackendError(
            f"{model}: in {fusion.precision} its Cb and Cr differ from the processor's by {cb:.2f} and {cr:.2f} codes "
            f"on average, {allowed} are allowed: export it in fp32"
        )
    return float(cb), float(cr)


def processor_colors(luma_NHW: Planes, model: Path, space: ColorSpace) -> tuple[Planes, float]:
    """Color planes as the program does on a processor: Cb, Cr (N,2,ceil(H/2),ceil(W/2)), and the vividness it used."""
    height, width = luma_NHW.shape[1:]
    nothing = np.full((-(-height // 2), -(-width // 2)), neutral(space), np.uint8)
    frames = [Frame("test", n, luma, (nothing, nothing), space, 0.0) for n, luma in enumerate(luma_NHW)]
    backend = open_backend("onnx", model)  # on a processor whatever else there is
    colored = Colorizer(backend, when_colored="replace", every=1)(frames)
    backend.close()
    return np.array([frame.chroma for frame in colored], np.uint8), backend.network.vividness


def scenes(count: int, height: int, width: int, space: ColorSpace) -> Planes:
    """Return luma planes (count, height, width) whose detail falls off with its frequency, as in photographs."""
    random = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    spectra = random.normal(size=(2, count, *frequency.shape)) / frequency**1.2
    waves = np.fft.irfft2(spectra[0] + 1j * spectra[1], (height, width))
    black, span, _, _ = code_range(space)
    levels = 0.5 + 0.25 * waves / waves.std((1, 2), keepdims=True)
    return np.asarray(np.rint(black + span * levels.clip(0, 1)), np.uint8)


def _run(graph: bytes, luma_NHW: Planes, *, vividness: float) -> Planes:
    """Color pictures with an exported graph on ONNX Runtime, the first by itself and the others at once."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    settings = {"vividness": np.array([vividness], np.float32), "saturation": np.ones(1, np.float32)}
    parts = [session.run(None, {"luma": part[:, None], **settings})[0] for part in (luma_NHW[:1], luma_NHW[1:])]
    return np.asarray(np.concatenate(parts), np.uint8)


def _engine(graph: bytes, fusion: Fusion, batch: Sequence[int], watch: Watch) -> bytes:
    """Return the engine of a graph for the GPU of this machine, or for any with tensorrt_rtx."""
    from streamcolor.backends.engines import Profile, build  # noqa: PLC0415  # only for an engine

    few, usual, most = ((count, 1, fusion.height, fusion.width) for count in batch)
    wanted = True

    def told(part: float) -> bool:
        nonlocal wanted
        wanted = wanted and watch("building the engine", part) is not False
        return wanted

    try:
        return build(graph, {"luma": Profile(few, usual, most)}, watch=told)
    except BackendError:
        if wanted:
            raise
        raise KeyboardInterrupt from None


def _begin(watch: Watch, what: str) -> None:
    if watch(what, 0.0) is False:
        raise KeyboardInterrupt
