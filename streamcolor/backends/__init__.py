"""Backends run an exported network: what all of them promise, the table of them, and the networks that ship with us.

The file is ONNX. Inputs: `light` (N,1,h,w) float32, L* in 0..100, h and w multiples of the network's stride;
`vividness` (1,) float32 in 0..1. Outputs: `ab` (N,2,h/4,w/4) float32 in CIE units; `confidence` (N,1,h/4,w/4) in 0..1.
Its metadata holds at least `stride` and `pixels` (the area that it works best at). A backend is imported when chosen.
"""

import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

from streamcolor.backends.gpu import why_no_cuda, why_no_gpu
from streamcolor.color import Floats
from streamcolor.errors import BackendError, ConfigError
from streamcolor.worker import usable_cores

log = logging.getLogger(__name__)

INPUTS: Final = {"light": 4, "vividness": 1}  # how many dimensions each has
OUTPUTS: Final = {"ab": 4, "confidence": 4}
SINGLE: Final = "-fp32"  # ends the name of the file in single precision beside one in int8
REDUCTION: Final = 4  # the colors' size is the light's divided by this


@dataclass(frozen=True, slots=True)
class Network:
    """What an exported file says about itself."""

    name: str
    path: Path
    stride: int  # the input's height and width are multiples of it
    pixels: int  # the area of the input that it works best at
    precision: str  # of the weights and of the arithmetic: "fp32", "int8"
    vividness: float = 0.5  # 0..1: what suits it
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The colors of N pictures."""

    ab_N2hw: Floats  # noqa: N815  # CIE units, at a quarter of the light's height and width
    confidence_N1hw: Floats  # noqa: N815  # 0..1


class Backend(Protocol):
    """One network, loaded and ready, on one kind of runtime."""

    name: str  # one of BACKENDS
    network: Network
    batch: int  # how many pictures at once suit it

    def predict(self, light_N1hw: Floats, *, vividness: float) -> Prediction:
        """Return the colors of pictures given as L* in 0..100; height and width are multiples of the stride.

        The arrays belong to the caller. Raises BackendError.
        """
        ...

    def close(self) -> None:
        """Release the network; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class _Runtime:
    backend: str  # the class in this folder's module of its name
    packages: tuple[str, ...]  # what must be importable
    install: str  # the command that makes it so

    def missing(self) -> str | None:
        """Name the first package that is not installed."""
        return next((name for name in self.packages if find_spec(name) is None), None)


BACKENDS: Final[Mapping[str, _Runtime]] = {
    "openvino": _Runtime("OpenVinoBackend", ("openvino",), "pip install openvino"),
    "onnx": _Runtime("OnnxBackend", ("onnxruntime",), "pip install 'streamcolor[onnx]'"),
    "torch": _Runtime("TorchBackend", ("torch", "onnx"), "pip install 'streamcolor[train]'"),
    "tensorrt": _Runtime("TensorRTBackend", ("torch", "onnx"), "pip install 'streamcolor[tensorrt]'"),
}


def open_backend(name: str = "auto", model: str | Path = "tiny", *, threads: int | None = None) -> Backend:
    """Load a network: a name in `known_models()` or the path of an .onnx file.

    `auto` takes the fastest runtime for this machine that is installed: TensorRT or torch where there is a GPU that
    they can use. It chooses before the network is loaded and never falls back afterwards. `threads` is at most how many
    cores the network keeps busy.
    Raises ConfigError for an unknown name, BackendError for a file that cannot be used.
    """
    path = find_model(model)
    chosen = _fastest() if name == "auto" else name
    if chosen not in BACKENDS:
        raise ConfigError(f"no backend {chosen!r}: choose auto, {', '.join(BACKENDS)}")
    runtime = BACKENDS[chosen]
    if missing := runtime.missing():
        raise ConfigError(f"backend {chosen} needs the package {missing}: {runtime.install}")
    count = threads or default_threads()
    try:
        module = import_module(f"streamcolor.backends.{chosen}_backend")
    except ImportError as error:
        raise BackendError(f"cannot import backend {chosen}: {one_line(error)}") from error
    backend: Backend = getattr(module, runtime.backend)(path, threads=count)
    network = backend.network
    log.info("%s runs the network %s (%s), threads: %d", chosen, network.name, network.precision, count)
    return backend


def default_threads() -> int:
    """Return half of the cores that we may use: the other half decodes and encodes."""
    return max(1, usable_cores() // 2)


def known_models() -> dict[str, Path]:
    """Return the networks that ship with the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent.parent / "models").glob("*.onnx"))}


def find_model(model: str | Path) -> Path:
    """Return the file of a model's name or path; raises ConfigError."""
    known = known_models()
    if str(model) in known:
        return known[str(model)]
    try:
        if Path(model).is_file():
            return Path(model)
    except OSError as error:  # a name that is too long, a folder that we may not look into
        raise ConfigError(f"cannot look at {model}: {error.strerror}") from error
    if Path(model).suffix == ".onnx":
        raise ConfigError(f"no network file {str(model)!r}: give the path of an .onnx file, or {_either(known)}")
    raise ConfigError(f"no model {str(model)!r}: choose {_either(known)} or the path of an .onnx file")


def described(path: Path, metadata: Mapping[str, str]) -> Network:
    """Return the network that a file's metadata describes; raises BackendError."""
    numbers = {}
    for key in ("stride", "pixels"):
        text = metadata.get(key, "")
        if not (text.isascii() and text.isdecimal() and int(text) > 0):
            said = f"{key} is {text!r}" if key in metadata else f"no {key}"
            raise BackendError(f"{path}: its metadata says {said}: export the network with streamcolor's training")
        numbers[key] = int(text)
    return Network(
        metadata.get("name", path.stem),
        path,
        **numbers,
        precision=metadata.get("precision", "fp32"),
        vividness=_vividness(path, metadata.get("vividness", "0.5")),
        metadata=dict(metadata),
    )


def single_precision(network: Network) -> Path:
    """Return the network's file, or of one in int8 the one in single precision beside it; raises ConfigError."""
    path = network.path
    if network.precision != "int8":
        return path
    single = path.with_name(f"{path.stem}{SINGLE}{path.suffix}")
    if not single.is_file():
        raise ConfigError(f"{path} is rounded to int8 and {single.name} is not beside it: name a file that is not")
    return single


def check_contract(path: Path, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
    """Compare a file's tensors (name → dimensions) with the contract above; raises BackendError."""
    for kind, found, wanted in (("inputs", inputs, INPUTS), ("outputs", outputs, OUTPUTS)):
        if dict(found) != wanted:
            raise BackendError(f"{path}: {kind} are {_tensors(found)}, a colorizing network has {_tensors(wanted)}")


def check_shapes(path: Path, light: Sequence[int], ab: Sequence[int], confidence: Sequence[int]) -> None:
    """Compare the shapes of outputs with that of the light they were made of; raises BackendError."""
    count, _, height, width = light
    for name, shape, channels in (("ab", ab, 2), ("confidence", confidence, 1)):
        wanted = (count, channels, height // REDUCTION, width // REDUCTION)
        if tuple(shape) != wanted:
            raise BackendError(f"{path}: {name} is {tuple(shape)} for light {tuple(light)}, it should be {wanted}")


def one_line(error: Exception) -> str:
    """Return what a runtime complained about, without its line breaks and its own source files."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return " ".join(told or lines)[:300]


def _fastest() -> str:
    """Return what uses the GPU; without one, OpenVINO on x86-64 and ONNX Runtime elsewhere."""
    if not why_no_gpu() and (name := _on_gpu()):
        return name
    return on_processor()


def on_processor() -> str:
    """Return the fastest backend that needs no GPU. Raises ConfigError."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    wanted = ("openvino", "onnx") if x86 else ("onnx", "openvino")
    for name in wanted:
        if BACKENDS[name].missing() is None:
            return name
    raise ConfigError(f"no backend is installed: {BACKENDS[wanted[0]].install}")


def _on_gpu() -> str | None:
    """Return TensorRT, or torch if that is not there, or nothing, having said why."""
    if missing := BACKENDS["torch"].missing():
        log.info("the GPU is not used: %s is not installed: %s", missing, BACKENDS["tensorrt"].install)
        return None
    if reason := why_no_cuda():
        log.info("the GPU is not used: %s", reason)
        return None
    if reason := import_module("streamcolor.backends.engines").why_no_tensorrt():
        log.info("TensorRT is not used: %s", reason)
        return "torch"
    return "tensorrt"


def _either(names: Mapping[str, Path]) -> str:
    return ", ".join(names) or "one that ships with the package (none in this installation)"


def _vividness(path: Path, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BackendError(f"{path}: its metadata says vividness is {text!r}, not a number") from error


def _tensors(dimensions: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} dimensions)" for name, count in dimensions.items()) or "missing"
