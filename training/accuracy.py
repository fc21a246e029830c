"""Top-palette accuracy: how often the palette color nearest to ours is the one nearest to the truth."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from streamcolor.backends import find_model
from streamcolor.nets.rebuild import STORED_HALF

from .samples import ab_of
from .stills import Rgb

REFERENCE = "tiny-fp32"  # whose palette a network without one is measured with


def palette_in(path: Path) -> NDArray[np.float32] | None:
    """Return the palette (Q,2) of an exported file, None if it has none."""
    for tensor in onnx.load(path).graph.initializer:
        if tensor.name.removesuffix(STORED_HALF) == "moments":
            moments = onnx.numpy_helper.to_array(tensor)  # (4,Q,1,1): a, b, a²+b², 1
            return np.asarray(moments[:2, :, 0, 0].T, np.float32)
    return None


def palette_for(path: Path) -> NDArray[np.float32]:
    """Return the network's own palette (Q,2), or the shipped network's for one that has none."""
    found = palette_in(path)
    if found is None:
        found = palette_in(find_model(REFERENCE))
    assert found is not None, f"{REFERENCE} has a palette"
    return found


def accuracy(truth: Rgb, version: Rgb, palette_Q2: NDArray[np.float32]) -> float:
    """Return the part of places, each 4x4 pixels, at which two pictures have the same nearest palette color."""
    first, second = (_nearest(ab_of(rgb).reshape(2, -1).T, palette_Q2) for rgb in (truth, version))
    return float((first == second).mean())


def _nearest(ab_M2: NDArray[np.float32], palette_Q2: NDArray[np.float32]) -> NDArray[np.intp]:
    # |x-p|² without x², which is the same for every p: one product of matrices
    return np.asarray(((palette_Q2**2).sum(1) - 2 * ab_M2 @ palette_Q2.T).argmin(1))
