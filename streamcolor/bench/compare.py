"""Every backend that works here, in every precision that the network ships in: speed, and how far colors are apart."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import numpy as np

from streamcolor.backends import BACKENDS, Backend, known_models, open_backend
from streamcolor.bench.measure import Cost, cost_of
from streamcolor.bench.stages import Sample
from streamcolor.chroma import shrink
from streamcolor.color import Floats, lab_from_rgb, light_from_luma, rgb_from_ycbcr
from streamcolor.colorizer import Colorizer
from streamcolor.difference import ciede2000
from streamcolor.errors import BackendError, ConfigError

REFERENCES: Final = ("torch fp32", "onnx fp32", "openvino fp32")  # colors are compared with the first that works
PICTURES: Final = 8  # of the sample


def open_all(model: str, stack: ExitStack, *, threads: int | None = None) -> tuple[dict[str, Backend], dict[str, str]]:
    """Open each backend with each precision of the network; return them by name, and why others do not work."""
    models = [model, *(name for name in known_models() if name == f"{model}-fp32")]
    opened: dict[str, Backend] = {}
    failed: dict[str, str] = {}
    for name in BACKENDS:
        for each in models:
            try:
                backend = open_backend(name, each, threads=threads)
            except (BackendError, ConfigError) as error:
                failed[name] = str(error)
                continue
            stack.callback(backend.close)
            opened[f"{name} {backend.network.precision}"] = backend
    if not opened:
        raise BackendError(f"no backend runs {model}: {'; '.join(failed.values())}")
    return opened, failed


def prediction(backend: Backend, sample: Sample) -> Callable[[], Cost]:
    """Return what to call for the cost of one picture."""
    size = sample.network_size(backend)
    small = [shrink(frame.luma, *size) for frame in sample.frames[:PICTURES]]
    light_N1hw = np.stack([light_from_luma(each, sample.info.space)[None] for each in small])
    work = partial(backend.predict, light_N1hw, vividness=backend.network.vividness)
    work()  # compiles

    def measure() -> Cost:
        cost = cost_of(work)
        return Cost(cost.wall / len(small), cost.cpu / len(small))

    return measure


def differences(backends: Mapping[str, Backend], sample: Sample) -> dict[str, dict[str, Any]]:
    """Return how far each backend's colors are, in CIEDE2000, from those of single precision on a reference."""
    reference = next((name for name in REFERENCES if name in backends), None)
    if reference is None:
        return {}
    truth = _lab(backends[reference], sample)
    found = {name: ciede2000(truth, _lab(backend, sample)) for name, backend in backends.items()}
    return {
        name: {"to": reference, "mean": round(float(each.mean()), 3), "p99": round(float(np.quantile(each, 0.99)), 3)}
        for name, each in found.items()
    }


def _lab(backend: Backend, sample: Sample) -> Floats:
    """Return L*a*b* of colored pictures, every fourth pixel of every fourth row (a clip of ours is 4:2:0)."""
    pictures = sample.frames[:: max(1, len(sample.frames) // PICTURES)]
    colored = Colorizer(backend, when_colored="replace", every=1)(pictures)
    planes = [(frame.luma[::4, ::4], *(plane[::2, ::2] for plane in frame.chroma)) for frame in colored]
    return np.stack([lab_from_rgb(rgb_from_ycbcr(y, cb, cr, sample.info.space)) for y, cb, cr in planes])
