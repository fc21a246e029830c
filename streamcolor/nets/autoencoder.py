"""The autoencoder: lightness in, a distribution over palette colors out.

Legend of shapes: N pictures; h,w the network's input; Q palette colors; ab in CIE units (about -110..110).

Plain 3x3 convolutions throughout: on CPUs with int8 instructions they reach several times the arithmetic rate of
depthwise ones, so depthwise blocks would save operations but no time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

REDUCTION = 4  # colors come out at a quarter of the input's width and height: the eye asks no more of chroma


@dataclass(frozen=True)
class Shape:
    """Widths of the stages from the stem down, residual blocks in each, widths on the way up again."""

    widths: Sequence[int]
    blocks: Sequence[int]
    decoder: Sequence[int]

    @property
    def stride(self) -> int:
        """What the input's height and width must be multiples of."""
        return REDUCTION << (len(self.widths) - 1)


SHAPES = {
    "tiny": Shape(widths=(24, 48, 96, 192, 256), blocks=(0, 1, 2, 2, 2), decoder=(128, 96, 48, 32)),
    "base": Shape(widths=(64, 128, 256, 512, 768), blocks=(1, 2, 3, 4, 3), decoder=(384, 256, 160, 128)),
}


class Autoencoder(nn.Module):
    """L* to logits over `palette`, a U-shaped convolutional autoencoder with a global-context branch at the bottom.

    The logits are those of the *true* color frequencies: a loss that favors rare colors does so by adding `prior` (Q,),
    the logarithm of its weights, outside of the network. So their softmax is calibrated, and adding a part of `prior`
    at run time is what makes colors more vivid (logit adjustment, Menon et al. 2021).
    """

    palette: Tensor
    prior: Tensor

    def __init__(self, shape: Shape, palette: Tensor, prior: Tensor) -> None:
        super().__init__()
        self.register_buffer("palette", palette)  # (Q, 2)
        self.register_buffer("prior", prior)  # (Q,)
        top, *deeper = shape.widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(REDUCTION), convolution(REDUCTION**2, top))
        self.hints = nn.Conv2d(3, top, 3, padding=1, bias=False)
        self.top = nn.Sequential(*(Residual(top) for _ in range(shape.blocks[0])))
        self.down = nn.ModuleList()
        for above, width, blocks in zip(shape.widths, deeper, shape.blocks[1:], strict=False):
            residuals = (Residual(width) for _ in range(blocks))
            self.down.append(nn.Sequential(convolution(above, width, stride=2), *residuals))
        self.context = Context(shape.widths[-1])
        self.up = nn.ModuleList()
        below = shape.widths[-1]
        for skip, width in zip(reversed(shape.widths[:-1]), shape.decoder, strict=True):
            self.up.append(convolution(below + skip, width))
            below = width
        self.head = nn.Conv2d(below, len(palette), 1)

    def forward(self, light_N1hw: Tensor, hints_N3hw: Tensor | None = None) -> Tensor:
        """L* in 0..100 (N,1,h,w) → logits (N,Q,h/4,w/4).

        `hints` (N,3,h/4,w/4) are known colors: a/50, b/50 and a mask, all zero where nothing is known. Their
        branch has no bias, so without hints it adds exactly nothing and an export can leave it out.
        """
        features = self.stem(light_N1hw / 50 - 1)
        if hints_N3hw is not None:
            features = features + self.hints(hints_N3hw)
        features = self.top(features)
        skips = []
        for stage in self.down:
            skips.append(features)
            features = stage(features)
        features = self.context(features)
        for merge in self.up:
            skip = skips.pop()
            larger = functional.interpolate(features, scale_factor=2, mode="nearest")
            if self.training:  # on samples of any size; an export has none of it
                larger = larger[..., : skip.shape[2], : skip.shape[3]]
            features = merge(torch.cat([larger, skip], 1))
        logits: Tensor = self.head(features)
        return logits

    def mean_color(self, logits_NQhw: Tensor) -> Tensor:
        """Return the expected a,b (N,2,h,w) of the calibrated distribution."""
        return functional.conv2d(logits_NQhw.softmax(1), self.palette.T[:, :, None, None])


class Predictor(nn.Module):
    """What is exported: L* and a vividness in, a,b and confidence out."""

    def __init__(self, network: Autoencoder, *, boost: float, sharpness: float, spread: float, calm: float) -> None:
        """`boost` and `sharpness` are what vividness 1 does, `calm` what vividness 0 does.

        boost: the part of the prior that is added; sharpness: by how much the inverse temperature grows beyond 1;
        spread: the standard deviation, in CIE units, of a distribution that gets confidence 1/2; calm: the factor of
        all colors at vividness 0, below 1 because the network expects more of strange pictures than is in them.
        """
        super().__init__()
        self.network = network
        self.sharpness, self.spread, self.calm = sharpness, spread, calm
        palette = network.palette
        moments = torch.cat([palette, (palette**2).sum(1, keepdim=True), torch.ones(len(palette), 1)], 1)
        self.register_buffer("moments", moments.T[:, :, None, None].contiguous())  # (4, Q, 1, 1): a, b, a²+b², 1
        self.register_buffer("push", boost * network.prior[None, :, None, None])  # (1, Q, 1, 1)

    moments: Tensor
    push: Tensor

    def forward(self, light_N1hw: Tensor, vividness_1: Tensor) -> tuple[Tensor, Tensor]:
        """(N,1,h,w) L* in 0..100, (1,) in 0..1 → a,b (N,2,h/4,w/4) in CIE units, confidence (N,1,h/4,w/4) in 0..1.

        Vividness 0 gives the mean color, calmed: the safest guess. More of it favors saturated and likely colors, and
        only as far as the network is sure: where it is not, the mean stays, which is muted by itself.
        """
        logits = self.network(light_N1hw)
        moments = self.expected(logits)
        mean = moments[:, :2]
        variance = moments[:, 2:] - (mean**2).sum(1, keepdim=True)
        confidence = 1 / (1 + variance.clamp(min=0) / self.spread**2)
        vivid = (logits + vividness_1 * self.push) * (1 + vividness_1 * self.sharpness)
        ab = mean + confidence * (self.expected(vivid)[:, :2] - mean)
        return ab * (self.calm + (1 - self.calm) * vividness_1), confidence

    def expected(self, logits_NQhw: Tensor) -> Tensor:
        """Return the expected a, b, a²+b² (N,3,h,w) under the softmax of the logits.

        Written as exp and a 1x1 convolution, because a CPU's softmax wants another memory layout than its convolutions
        do and half of the time went into reordering. The clamp keeps exp finite; logits stay far below it.
        """
        sums = functional.conv2d(logits_NQhw.clamp(max=60).exp(), self.moments)
        return sums[:, :3] / sums[:, 3:]


class Residual(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, features: Tensor) -> Tensor:
        """(N,C,h,w) → (N,C,h,w)."""
        return functional.relu(features + self.second(self.first(features)))


class Context(nn.Module):
    """Tells each place what the whole picture is: a lawn and a billiard table differ by their surroundings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, width, 1)
        self.excite = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N,C,h,w) → (N,C,h,w)."""
        whole = features.mean((2, 3), keepdim=True)
        told: Tensor = self.excite(functional.relu(self.squeeze(whole)))
        return features + told


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU: the one building block."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
