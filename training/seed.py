"""`seed`, where the project began: a plain encoder-decoder from L* to a,b, trained by mean squared error.

It is kept so that progress can be seen, and exported with the contract of the others: a,b at a quarter of the input,
vividness without effect, confidence 1 everywhere.
"""

from typing import Final

import torch
from torch import Tensor, nn

from streamcolor.nets.autoencoder import REDUCTION

WIDTHS: Final = (64, 128, 256, 512)
STRIDE: Final = 2 ** len(WIDTHS)
REACH: Final = 128.0  # CIE units that an output of 1 stands for


class Seed(nn.Module):
    """Four strided convolutions down, two enlarging ones up to a quarter of the size, a, b by tanh. No skips."""

    def __init__(self) -> None:
        super().__init__()
        inputs, layers = 1, list[nn.Module]()
        for width in WIDTHS:
            layers += [nn.Conv2d(inputs, width, 3, stride=2, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        size = STRIDE
        while size > REDUCTION:
            size //= 2
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, inputs // 2, 3, padding=1), nn.ReLU(inplace=True)]
            inputs //= 2
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(inputs, 2, 3, padding=1)

    def forward(self, light_N1hw: Tensor, hints_N3hw: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """L* in 0..100 (N,1,h,w) → a,b (N,2,h/4,w/4), -1..1. It cannot be hinted."""
        colors: Tensor = self.head(self.body(light_N1hw / 100)).tanh()
        return colors

    def mean_color(self, colors_N2hw: Tensor) -> Tensor:
        """Return a,b in CIE units of what `forward` gave."""
        return colors_N2hw * REACH


class SeedPredictor(nn.Module):
    """What is exported: the contract of `Predictor`, with a confidence of 1."""

    def __init__(self, network: Seed) -> None:
        super().__init__()
        self.network = network

    def forward(self, light_N1hw: Tensor, vividness_1: Tensor) -> tuple[Tensor, Tensor]:
        """(N,1,h,w) L* in 0..100, (1,) unused → a,b (N,2,h/4,w/4) in CIE units, confidence (N,1,h/4,w/4)."""
        ab = self.network.mean_color(self.network(light_N1hw))
        # An input that nothing depends on would not be in the file, and all files have the same inputs.
        return ab, torch.ones_like(ab[:, :1]) + 0 * vividness_1


class SquaredError(nn.Module):
    """Mean squared error of a,b, as parts of `REACH`."""

    parts = ("squared_error",)

    def forward(self, colors_N2hw: Tensor, ab_N2hw: Tensor) -> tuple[Tensor]:
        """Return the loss, a scalar."""
        return (nn.functional.mse_loss(colors_N2hw.float(), ab_N2hw / REACH),)
