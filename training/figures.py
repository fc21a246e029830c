"""How near colors are to the truth, and how colorful they are. All take sRGB pictures as float32 (H,W,3) in 0..1."""

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcolor import difference

Picture = NDArray[np.float32]


def psnr(truth: Picture, ours: Picture) -> float:
    """Peak signal-to-noise ratio over R, G and B, in dB."""
    return float(-10 * np.log10(np.mean((truth - ours) ** 2) + 1e-10))


def ciede2000(truth: Picture, ours: Picture) -> NDArray[np.float32]:
    """Return the color difference of each pixel (H,W) (CIE 142-2001)."""
    first, second = (cv2.cvtColor(picture, cv2.COLOR_RGB2LAB) for picture in (truth, ours))
    return np.asarray(difference.ciede2000(first, second), np.float32)


def colorfulness(picture: Picture) -> float:
    """Return Hasler and Süsstrunk's M (2003), on codes 0..255."""
    red, green, blue = np.moveaxis(picture * 255, -1, 0)
    first, second = red - green, (red + green) / 2 - blue
    return float(np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean()))


def with_chroma(truth: Picture, light: NDArray[np.float32], ab_HW2: NDArray[np.float32]) -> Picture:
    """Give `truth`'s own Y' the colors (light, a, b), as the pipeline does."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    colored = cv2.cvtColor(np.dstack([light, ab_HW2]).astype(np.float32), cv2.COLOR_LAB2RGB)
    change = (truth @ weights) - (colored @ weights)
    return np.clip(colored + change[..., None], 0, 1)
