"""How different two colors look: CIEDE2000."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SEVENTH = 25.0**7


def ciede2000(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Return the color difference (...) of L*a*b* colors (..., 3) (CIE 142-2001; Sharma, Wu and Dalal 2005)."""
    (light1, a1, b1), (light2, a2, b2) = (np.moveaxis(lab, -1, 0) for lab in (first, second))
    stretch = 1.5 - 0.5 * _saturating((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    chroma1, chroma2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    hue1, hue2 = (np.arctan2(b, a * stretch) % (2 * math.pi) for a, b in ((a1, b1), (a2, b2)))
    turn = hue2 - hue1
    turn = np.where(chroma1 * chroma2 == 0, 0, turn - 2 * math.pi * np.sign(turn) * (np.abs(turn) > math.pi))
    middle = np.where(chroma1 * chroma2 == 0, hue1 + hue2, hue1 + turn / 2)
    light, chroma = (light1 + light2) / 2 - 50, (chroma1 + chroma2) / 2
    terms = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))  # weight, multiple, degrees
    bend = 1 + sum(weight * np.cos(times * middle + math.radians(angle)) for weight, times, angle in terms)
    light_part = (light2 - light1) / (1 + 0.015 * light**2 / np.sqrt(20 + light**2))
    chroma_part = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    hue_part = 2 * np.sqrt(chroma1 * chroma2) * np.sin(turn / 2) / (1 + 0.015 * chroma * bend)
    blue = math.radians(60) * np.exp(-(((np.remainder(np.degrees(middle), 360) - 275) / 25) ** 2))
    rotation = -np.sin(blue) * 2 * _saturating(chroma)
    return np.asarray(np.sqrt(light_part**2 + chroma_part**2 + hue_part**2 + rotation * chroma_part * hue_part))


def _saturating(chroma: NDArray[Any]) -> NDArray[Any]:
    """Return the root that goes from 0 for gray towards 1 for strong colors."""
    return np.sqrt(chroma**7 / (chroma**7 + _SEVENTH))
