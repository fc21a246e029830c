"""TensorRT engines: an ONNX graph in, a plan out, by `tensorrt` (10 or 11) or `tensorrt_rtx`, whose interfaces agree.

Precision is a property of the graph (networks are strongly typed), never a flag. TensorRT raises next to nothing: its
calls return None or False and its reasons go to a logger, so all of them are collected there and raised as ours.
Building with tensorrt_rtx needs no GPU.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeAlias

from streamcolor.backends import one_line
from streamcolor.backends.gpu import gpu
from streamcolor.errors import BackendError, ConfigError

log = logging.getLogger(__name__)

MODULES: Final[Mapping[str, str]] = {  # in the order of `flavor="auto"`, with the way to install each
    "tensorrt": "pip install 'streamcolor[tensorrt]'",
    "tensorrt_rtx": "pip install 'streamcolor[rtx]'",
}
WORKSPACE: Final = 1 << 30  # bytes that layers may use while they run

Shape: TypeAlias = tuple[int, ...]
Watch: TypeAlias = Callable[[float], bool | None]
"""Told how much of a build is done, 0 to 1; False gives it up. It is called from C++ and must not raise."""

_ERROR, _WARNING = 1, 2  # ILogger's severities; 0 is worse than an error


@dataclass(frozen=True, slots=True)
class Profile:
    """The shapes that one input may have; the engine is tuned for `opt`."""

    min: Shape
    opt: Shape
    max: Shape

    def __post_init__(self) -> None:
        sides = zip(self.min, self.opt, self.max, strict=True)
        if not all(0 < low <= usual <= high for low, usual, high in sides):
            raise ValueError(f"a profile goes from small to large, not {self.min}, {self.opt}, {self.max}")


def load_tensorrt(flavor: str = "auto") -> Any:
    """Return the module `tensorrt` or `tensorrt_rtx`; auto: the first that can be imported. Raises ConfigError."""
    if flavor not in ("auto", *MODULES):
        raise ConfigError(f"no flavor {flavor!r} of TensorRT: choose auto, {', '.join(MODULES)}")
    reasons = []
    for name in MODULES if flavor == "auto" else (flavor,):
        try:
            return import_module(name)
        except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
            reasons.append(f"{one_line(error)}: {MODULES[name]}")
    raise ConfigError(f"TensorRT cannot be used: {'; '.join(reasons)}")


def build(
    onnx: bytes,
    profiles: Mapping[str, Profile],
    *,
    targets: Sequence[str] = (),
    flavor: str = "auto",
    watch: Watch | None = None,
) -> bytes:
    """Return the plan of a graph; every input with a dynamic shape needs a profile, by its name.

    `targets` are compute capabilities such as "8.9" that the plan is to run on, for tensorrt_rtx only; none: all that
    it knows, and with tensorrt always the GPU of this machine. Raises BackendError with TensorRT's reasons, ConfigError
    if TensorRT or a target is missing.
    """
    trt = load_tensorrt(flavor)
    complaints = Complaints(trt)
    builder = _builder(trt, complaints)
    network = builder.create_network(_strongly_typed(trt))  # must outlive the parser
    parser = trt.OnnxParser(network, complaints.logger)
    if not parser.parse(onnx):
        raise complaints.error("TensorRT cannot read the network")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    if targets:
        _aim(trt, config, targets)
    if watch is not None:
        config.progress_monitor = _monitor(trt, watch)
    if profiles:
        _add_profiles(builder, config, profiles, complaints)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise complaints.error("TensorRT cannot build an engine")
    if watch is not None:
        watch(1.0)
    return bytes(plan)


class Complaints:
    """Collects what TensorRT says is wrong; everything it says goes to our log too."""

    def __init__(self, trt: Any) -> None:
        said = self._said = list[str]()

        class Logger(trt.ILogger):  # type: ignore[misc]  # its base comes from the flavor that is installed
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                level = logging.INFO if int(severity) == _WARNING else logging.DEBUG  # errors are raised
                log.log(level, "%s: %s", trt.__name__, message)
                if int(severity) <= _ERROR:
                    said.append(message)

        self.logger = Logger()

    def error(self, attempt: str) -> BackendError:
        """Return the error to raise: what was attempted, and TensorRT's reasons since the last one, the first first."""
        reasons = "; ".join(self._said) or "it does not say why"
        self._said.clear()
        return BackendError(f"{attempt}: {one_line(RuntimeError(reasons))}")


def _builder(trt: Any, complaints: Complaints) -> Any:
    try:
        return trt.Builder(complaints.logger)
    except TypeError as error:  # how the binding says that it got no object
        raise complaints.error(f"{trt.__name__} finds no GPU that it can build for") from error


def _strongly_typed(trt: Any) -> int:
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # TensorRT 11 knows no other networks
    return 0 if flag is None else 1 << int(flag)


def why_no_tensorrt() -> str:
    """Return why TensorRT cannot run on the GPU of this machine; empty: it can. Raises ConfigError without a GPU."""
    _, capability = gpu()
    try:
        return why_not_for(load_tensorrt(), capability)
    except ConfigError as error:
        return str(error)


def why_not_for(trt: Any, capability: str) -> str:
    """Return why this TensorRT does not run on GPUs of a compute capability; empty: it does, as far as it says."""
    known = _capabilities(trt)
    if not known or capability in known:
        return ""
    return f"{trt.__name__} knows the compute capabilities {', '.join(known)}, not {capability}"


def _capabilities(trt: Any) -> dict[str, Any]:
    """Return what tensorrt_rtx can be asked to build for, as "8.9" and TensorRT's own value; tensorrt: nothing."""
    members = trt.ComputeCapability.__members__ if hasattr(trt, "ComputeCapability") else {}
    return {f"{name[2:-1]}.{name[-1]}": value for name, value in members.items() if name.startswith("SM")}


def _aim(trt: Any, config: Any, targets: Sequence[str]) -> None:
    known = _capabilities(trt)
    if not known:
        raise ConfigError(f"{trt.__name__} builds for the GPU of this machine only: give no targets")
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        if target not in known:
            choices = ", ".join(known)
            raise ConfigError(f"{trt.__name__} builds for no compute capability {target!r}: choose {choices}")
        config.set_compute_capability(known[target], index)


def _add_profiles(builder: Any, config: Any, profiles: Mapping[str, Profile], complaints: Complaints) -> None:
    profile = builder.create_optimization_profile()
    for name, shapes in profiles.items():
        profile.set_shape(name, shapes.min, shapes.opt, shapes.max)
    if config.add_optimization_profile(profile) < 0:
        raise complaints.error(f"TensorRT refuses the shapes of {', '.join(profiles)}")


def _monitor(trt: Any, watch: Watch) -> Any:
    """Return TensorRT's observer; phases nest, and a step of a phase is made of the phases within it."""
    phases: dict[str, tuple[int, int]] = {}  # steps done, steps in all; the outermost first
    furthest = 0.0  # a phase may begin anew; what a person sees never goes back

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # its base comes from the flavor that is installed
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, _parent: str | None, steps: int) -> None:
            phases[name] = (0, max(steps, 1))

        def step_complete(self, name: str, step: int) -> bool:
            nonlocal furthest
            phases[name] = (step + 1, phases[name][1])
            done, share = 0.0, 1.0
            for completed, steps in phases.values():
                share /= steps
                done += share * completed
            furthest = max(furthest, min(done, 1.0))
            return watch(furthest) is not False

        def phase_finish(self, name: str) -> None:
            phases.pop(name)

    return Monitor()
