"""The palette, and the loss: soft classification over it, rebalanced, plus terms on the expected color."""

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

GRID = 128  # a and b are looked up on the integers -GRID..GRID-1


def make_palette(ab_M2: NDArray[np.float32], colors: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Choose `colors` palette entries for the a,b seen in (M,2); return them (Q,2) and how often each is nearest (Q,).

    k-means on a sample whose density is flattened by its square root: else half of the palette would be shades of gray.
    """
    rng = np.random.default_rng(seed)
    cells = np.floor(ab_M2 / 4).astype(int)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    chances = 1 / np.sqrt(counts[cell.ravel()])
    sample = ab_M2[rng.choice(len(ab_M2), min(60_000, len(ab_M2)), p=chances / chances.sum())]
    cv2.setRNGSeed(seed)
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 0.1)
    _, _, centers = cv2.kmeans(sample.astype(np.float32), colors, None, until, 2, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    palette = torch.from_numpy(centers)
    parts = torch.tensor_split(torch.from_numpy(ab_M2), 1 + len(ab_M2) // 50_000)
    nearest = torch.cat([torch.cdist(part, palette).argmin(1) for part in parts])
    frequency = torch.bincount(nearest, minlength=colors) / len(nearest)
    return palette, frequency


def make_prior(frequency_Q: Tensor) -> Tensor:
    """Return the log of weights that favor rare colors (Q,) (Zhang et al. 2016, eq. 4, with their lambda of 1/2)."""
    weights = 1 / (frequency_Q + 1 / len(frequency_Q))
    return (weights / (weights * frequency_Q).sum()).log()


def sampled_ab(pictures_ab: Iterable[NDArray[np.float32]], each: int = 256) -> NDArray[np.float32]:
    """Take `each` random a,b from every (2,h,w) and stack them to (M,2), (0,2) if there are no pictures."""
    rng = np.random.default_rng(0)
    none = np.empty((0, 2), np.float32)
    return np.concatenate([none, *(rng.permutation(ab.reshape(2, -1).T)[:each] for ab in pictures_ab)])


class ColorLoss(nn.Module):
    """Cross-entropy against soft labels over the nearest palette colors, plus Huber and squared error of the mean.

    Colors weigh exp(rebalance * prior), so that rare ones are learned; the same is added to the logits, so the logits
    themselves stay those of the true frequencies, whose mean is the safest color.
    """

    parts = ("classification", "huber", "squared")
    palette: Tensor
    prior: Tensor
    indices: Tensor
    shares: Tensor

    def __init__(
        self,
        palette_Q2: Tensor,
        prior_Q: Tensor,
        *,
        rebalance: float = 1.0,
        huber: float = 0.0,
        squared: float = 0.0,
        nearest: int = 5,
        sigma: float = 5.0,
        smooth: float = 0.0,
    ) -> None:
        super().__init__()
        self._huber, self._squared, self._smooth = huber, squared, smooth
        self.register_buffer("palette", palette_Q2)
        self.register_buffer("prior", rebalance * prior_Q)
        axis = torch.arange(-GRID, GRID, dtype=torch.float32)
        grid = torch.cartesian_prod(axis, axis)
        distances, indices = torch.cdist(grid, palette_Q2).topk(nearest, largest=False)
        # (4 GRID², nearest): looked up, since searching costs a tenth of a step
        self.register_buffer("indices", indices)
        self.register_buffer("shares", (-(distances**2) / (2 * sigma**2)).softmax(1))

    def forward(self, logits_NQhw: Tensor, ab_N2hw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses in `parts`, each a scalar, the last two from CIE units."""
        logits = logits_NQhw.permute(0, 2, 3, 1).flatten(0, 2).float()
        truth = ab_N2hw.permute(0, 2, 3, 1).flatten(0, 2)
        cell = (truth.round().clamp(-GRID, GRID - 1) + GRID).long()
        place = cell[:, 0] * 2 * GRID + cell[:, 1]
        indices, shares = self.indices[place], self.shares[place]
        likelihood = (logits + self.prior).log_softmax(1)
        weights = self.prior.exp()[indices] * shares
        loss = -(likelihood.gather(1, indices) * weights).sum(1).mean()
        if self._smooth:
            loss = (1 - self._smooth) * loss - self._smooth * likelihood.mean()
        expected = logits.softmax(1) @ self.palette
        huber = functional.huber_loss(expected, truth, delta=10.0)
        return loss, self._huber * huber, self._squared * functional.mse_loss(expected, truth)
