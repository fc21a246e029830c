"""How steady colors are over time: warping error and color distribution consistency.

Pictures are sRGB as float32 (H,W,3) in 0..1; gray ones uint8 (H,W).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Gray = NDArray[np.uint8]
DISTANCES = (1, 2, 4)  # frames, as in Liu et al. 2021


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where each pixel of a frame was in the frame before, and whether it could be seen there."""

    place: NDArray[np.float32]  # (H,W,2): x, y
    seen: NDArray[np.bool_]  # (H,W)

    def error(self, before: Picture, after: Picture) -> float:
        """Return the mean squared difference, over what could be seen, of a frame to the warped one before it.

        The warping error of Lai et al. 2018, for two frames.
        """
        if not self.seen.any():
            return 0.0
        x, y = np.ascontiguousarray(self.place[..., 0]), np.ascontiguousarray(self.place[..., 1])
        warped = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return float(((after - warped) ** 2)[self.seen].mean())


def motion(before: Gray, after: Gray) -> Motion:
    """Follow the optical flow (DIS) from a frame back to the one before it; flow back and forth must agree."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # type: ignore[attr-defined]
    back, forth = dis.calc(after, before, None), dis.calc(before, after, None)
    height, width = after.shape
    here = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    place = here + back
    there = cv2.remap(forth, place[..., 0].copy(), place[..., 1].copy(), cv2.INTER_LINEAR)
    # Occluded where the way back does not lead home (Sundaram et al. 2010), or where it leaves the picture.
    apart = ((back + there) ** 2).sum(2)
    lengths = (back**2).sum(2) + (there**2).sum(2)
    within = ((place >= 0) & (place <= np.array([width - 1, height - 1]))).all(2)
    return Motion(place, (apart < 0.01 * lengths + 0.5) & within)


def distribution_consistency(pictures: Sequence[NDArray[np.uint8]]) -> float:
    """Return CDC: the mean Jensen-Shannon divergence of the histograms of R, G and B over 1, 2 and 4 frames.

    Liu et al. 2021; less is steadier. Distances that a clip is too short for are left out.
    """
    histograms = [np.stack([_histogram(rgb[..., channel]) for channel in range(3)]) for rgb in pictures]
    means = [
        np.mean([_divergence(first, later) for first, later in zip(histograms, histograms[apart:], strict=False)])
        for apart in DISTANCES
        if apart < len(histograms)
    ]
    return float(np.mean(means)) if means else 0.0


def _histogram(codes_HW: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.bincount(codes_HW.ravel(), minlength=256) / codes_HW.size


def _divergence(first_C256: NDArray[np.float64], second_C256: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon divergence in nats, the mean over channels."""
    middle = (first_C256 + second_C256) / 2
    return float((_relative(first_C256, middle) + _relative(second_C256, middle)).mean() / 2)


def _relative(part_C256: NDArray[np.float64], whole_C256: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.divide(part_C256, whole_C256, out=np.ones_like(part_C256), where=part_C256 > 0)
    return np.asarray((part_C256 * np.log(ratio)).sum(-1))
