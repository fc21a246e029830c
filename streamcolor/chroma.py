"""Shrink luma for the network, enlarge chroma for the picture: the only work that touches full-size planes.

H,W a picture's size; h,w a small picture's. Planes are uint8 or uint16 and may be views with any row stride.
"""

import math
from typing import Any

import cv2
import numpy as np

from streamcolor.color import Floats, neutral
from streamcolor.frames import ColorSpace, Plane

# One thread, on purpose: these calls take 0.02 to 0.2 ms each, less than it takes to wake OpenCV's pool, and the
# cores belong to the decoder, the network and the encoder.
cv2.setNumThreads(1)


def network_size(width: int, height: int, *, pixels: int, stride: int) -> tuple[int, int]:
    """Return (w, h) for a picture of this size: multiples of stride, its shape, near `pixels` in area.

    Multiples cannot keep the shape exactly; half a percent of it weighs as much as two percent of the area. A picture
    smaller than `pixels` is not enlarged beyond the next multiple.
    """
    area = min(pixels, _ceil(width, stride) * _ceil(height, stride))
    longest = max(area // stride // stride, 1) * stride

    def multiples(size: float) -> set[int]:
        below = math.floor(size / stride) * stride
        return {min(max(multiple, stride), longest) for multiple in (below, below + stride)}

    def cost(size: tuple[int, int]) -> float:
        w, h = size
        return 4 * abs(math.log(w * height / (h * width))) + abs(math.log(w * h / area))

    heights = multiples(math.sqrt(area * height / width))
    return min(((w, h) for h in heights for w in multiples(area / h)), key=cost)


def shrink(plane: Plane, width: int, height: int) -> Plane:
    """Return the plane (H, W) at (height, width) in its own type, averaged so that fine detail does not alias.

    Halves while it can (OpenCV averages 2x2 with vector instructions), then goes bilinearly the rest of the way, less
    than a factor of two: 0.06 ms for 720p to 352x192 where INTER_AREA takes 0.9, and as near to it as halving and
    INTER_AREA are (36 to 55 dB on real clips). A last odd row or column is left out of a halving.
    """
    while plane.shape[0] >= 2 * height or plane.shape[1] >= 2 * width:
        down = 2 if plane.shape[0] >= 2 * height else 1
        across = 2 if plane.shape[1] >= 2 * width else 1
        plane = _averaged(plane, down, across)
    if plane.shape == (height, width):
        return plane
    return _resized(plane, width, height)


def quarter(plane: Plane) -> Plane:
    """Return a plane (h, w) averaged over 4x4 pixels: the size of a network's output."""
    return _averaged(_averaged(plane, 2, 2), 2, 2)


def enlarge(plane: Plane, width: int, height: int) -> Plane:
    """Return chroma (h, w) at (height, width), bilinear, as a new contiguous plane of the same type.

    Samples are taken to lie in the middle of their pixels. MPEG-2's siting, half a luma pixel to the left, would move a
    48x88 plane's colors by a thirtieth of one of its own pixels.
    """
    return _resized(plane, width, height)


def brightened(luma: Plane, shift: Floats, space: ColorSpace) -> Plane:
    """Return luma (H, W) plus a shift in codes (h, w), enlarged bilinearly, held within the codes of the space."""
    height, width = luma.shape
    middle: Any = neutral(space)  # an unsigned plane carries the signed shift; one of its two halves is 0 everywhere
    codes = np.clip(np.rint(shift) + middle, 0, 2 * middle - 1).astype(space.dtype)
    less: Any = _resized(codes, width, height)
    moved: Any = cv2.subtract(less, middle)
    cv2.subtract(middle, less, dst=less)
    cv2.add(luma, moved, dst=moved)
    cv2.subtract(moved, less, dst=moved)
    return np.asarray(np.minimum(moved, 2 * middle - 1, out=moved) if space.depth > 8 else moved)


def _averaged(plane: Plane, down: int, across: int) -> Plane:
    height, width = plane.shape[0] // down, plane.shape[1] // across
    even = plane[: height * down, : width * across]
    averaged: Plane = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return averaged


def _resized(plane: Plane, width: int, height: int) -> Plane:
    resized: Plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return resized


def _ceil(size: int, stride: int) -> int:
    return -(-size // stride) * stride
