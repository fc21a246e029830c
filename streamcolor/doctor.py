"""What is installed here, what works, and why the rest does not."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from streamcolor.backends import BACKENDS, default_threads, known_models, on_processor, open_backend
from streamcolor.backends.gpu import why_no_gpu
from streamcolor.errors import StreamcolorError
from streamcolor.sinks.encoders import why_not
from streamcolor.sources.hwaccel import why_no_decoding

PACKAGES = ("av", "numpy", "opencv-python-headless", "openvino", "onnxruntime", "torch", "tensorrt", "tensorrt-rtx")


def machine() -> str:
    """Describe system, Python and processors in a line."""
    cores = os.cpu_count() or 1
    return f"{platform.platform(terse=True)}, {platform.machine()}, {cores} cores, Python {platform.python_version()}"


def packages() -> dict[str, str]:
    """Give the version of each package that matters; "-" where it is not installed."""
    return {name: _version(name) for name in PACKAGES}


def backends() -> dict[str, str]:
    """Run the smallest shipped network once on each backend: how it went, in a line that says "works" if it did."""
    return {name: _try(name) for name in BACKENDS}


def hardware() -> dict[str, str]:
    """Say whether video can be decoded and encoded on a GPU here."""
    reasons = {"decoding (NVDEC)": why_no_decoding(), "encoding (h264_nvenc)": why_no_gpu() or why_not("h264_nvenc")}
    return {what: reason or "works" for what, reason in reasons.items()}


def figures(model: str) -> Iterator[tuple[str, str]]:
    """Give what a shipped network's file says about itself, as (what, how much).

    A GPU would run its twin in single precision.
    """
    backend = open_backend(on_processor(), model)
    network = backend.network
    backend.close()
    yield "weights", f"{network.precision}, {network.path.stat().st_size / 1e6:.1f} MB"
    yield "works at", f"about {network.pixels} pixels, sides in steps of {network.stride}"
    said = {"name", "stride", "pixels", "precision"}
    yield from ((key, text) for key, text in network.metadata.items() if key not in said)
    card = network.path.with_suffix(".md")
    if card.exists():
        yield "card", str(card)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


def _try(name: str) -> str:
    models = known_models()
    if not models:
        return "cannot be tried: no network ships with this installation"
    try:
        backend = open_backend(name, min(models.values(), key=lambda path: path.stat().st_size))
        stride = backend.network.stride
        backend.predict(np.full((1, 1, 2 * stride, 2 * stride), 50, np.float32), vividness=0.5)
        backend.close()
    except StreamcolorError as error:
        return str(error)
    return "works" if name == "tensorrt" else f"works, {default_threads()} thread(s)"
