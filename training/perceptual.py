"""LPIPS and FID by torchmetrics, only where their pretrained weights are on this machine: nothing is downloaded."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch

from .stills import Rgb

# What torchmetrics needs, and where torch keeps it once somebody has downloaded it.
NEEDS: Final = {
    "lpips": ("torchvision", "alexnet-owt-7be5be79.pth"),
    "fid": ("torch_fidelity", "weights-inception-2015-12-05-6726825d.pth"),
}


def missing(figure: str) -> str | None:
    """Say what is missing to compute "lpips" or "fid", None if nothing is."""
    package, weights = NEEDS[figure]
    for needed in ("torchmetrics", package):
        if find_spec(needed) is None:
            return f"the package {needed} is not installed"
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights
    return None if path.is_file() else f"its weights {weights} are not in {path.parent}"


class Perceived:
    """LPIPS (AlexNet) and FID (Inception, 2048 features) of one version of a data set's pictures."""

    def __init__(self) -> None:
        self._pictures = 0
        self._lpips: Any = None
        self._fid: Any = None
        if missing("lpips") is None:
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity  # noqa: PLC0415 - optional

            self._lpips = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
        if missing("fid") is None:
            from torchmetrics.image.fid import FrechetInceptionDistance  # noqa: PLC0415 - optional

            self._fid = FrechetInceptionDistance(feature=2048)

    def add(self, truth: Rgb, version: Rgb) -> None:
        """Look at a picture (H,W,3) beside its truth."""
        self._pictures += 1
        first, second = (torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None] for rgb in (truth, version))
        if self._lpips is not None:
            self._lpips.update(first / 255, second / 255)
        if self._fid is not None:
            self._fid.update(first, real=True)
            self._fid.update(second, real=False)

    def lpips(self) -> float | None:
        """Return the mean LPIPS, None for want of weights."""
        return None if self._lpips is None else float(self._lpips.compute())

    def fid(self) -> float | None:
        """Return FID, None for want of weights or of a second picture."""
        return None if self._fid is None or self._pictures < 2 else float(self._fid.compute())
