"""The exact way from a picture to its codes, to compare with."""

import numpy as np

from streamcolor.color import _rgb_to_codes


def ycbcr_from_rgb(rgb, space):
    """The codes (y, cb, cr), each (..., H, W), of sRGB (..., H, W, 3): uint8 codes, or floats in 0..1."""
    value = rgb.astype(np.float32) / (255 if rgb.dtype == np.uint8 else 1)
    weights, offset = _rgb_to_codes(space)
    codes = np.clip(np.rint(value @ weights + offset), 0, (1 << space.depth) - 1).astype(space.dtype)
    return tuple(np.ascontiguousarray(plane) for plane in np.moveaxis(codes, -1, 0))
