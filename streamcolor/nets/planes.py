"""Y' planes in, Cb and Cr planes out, as one torch module: what pays on a GPU, in torch and exported.

The mathematics of `chroma`, `color` and `colorizer`, where nothing is rounded on the way. Legend of shapes: N pictures;
H,W the picture's size; h,w the network's input; C,D the chroma planes, ceil(H/2) and ceil(W/2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from .autoencoder import REDUCTION, Predictor

Row = tuple[float, float, float]

_DELTA: Final = 6 / 29  # CIE 15: where the cube root of a relative luminance becomes a straight line
_KAPPA: Final = (29 / 3) ** 3


@dataclass(frozen=True, slots=True)
class Codes:
    """What the 8-bit codes of a color space mean, as plain numbers: constants of the graph."""

    black: float  # luma code
    span: float  # luma codes from black to white
    neutral: float  # chroma code of gray
    chroma: Sequence[Row]  # (2, 3): codes of Cb and Cr, above neutral, from R', G', B' in 0..1
    rgb: Sequence[Row]  # (3, 3): linear R, G, B from X, Y, Z where white is (1, 1, 1)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Heights and widths, all constants of the graph."""

    picture: tuple[int, int]  # H, W
    small: tuple[int, int]  # h, w

    @property
    def chroma(self) -> tuple[int, int]:
        """Return the size of the chroma planes of 4:2:0: C, D."""
        height, width = self.picture
        return -(-height // 2), -(-width // 2)


class Reading(nn.Module):
    """Planes of Y' to L*, at the network's size and at that of its colors."""

    def __init__(self, sizes: Sizes, codes: Codes, *, half: bool) -> None:
        super().__init__()
        self._small, self._codes = sizes.small, codes
        self._pool = [_halvings(size, small) for size, small in zip(sizes.picture, sizes.small, strict=True)]
        self._dtype = torch.float16 if half else torch.float32

    def forward(self, luma_N1HW: Tensor) -> tuple[Tensor, Tensor]:
        """Codes, uint8 (N,1,H,W) → L* in fp32, (N,1,h,w) and (N,1,h/4,w/4).

        Averaged over powers of two, then bilinear the rest of the way.
        """
        return self.light(self.shrunk(luma_N1HW))

    def shrunk(self, luma_N1HW: Tensor) -> Tensor:
        """Codes, uint8 (N,1,H,W) → codes, not rounded (N,1,h,w)."""
        codes = functional.avg_pool2d(luma_N1HW.to(self._dtype), self._pool)
        if codes.shape[2:] != self._small:
            codes = functional.interpolate(codes, self._small, mode="bilinear")
        return codes

    def light(self, codes_N1hw: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (N,1,h,w) → L* of them and of their averages, see `forward`."""
        return self._light(codes_N1hw), self._light(functional.avg_pool2d(codes_N1hw, REDUCTION))

    def _light(self, codes: Tensor) -> Tensor:
        """Return L* of the gray of luma codes: sRGB (IEC 61966-2-1), then CIE 15."""
        value = ((codes.float() - self._codes.black) / self._codes.span).clamp(0, 1)
        linear = torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        return torch.where(linear > _DELTA**3, 116 * linear ** (1 / 3) - 16, _KAPPA * linear)


class Writing(nn.Module):
    """L*, a, b to planes of Cb and Cr, clipped to the sRGB gamut."""

    def __init__(self, sizes: Sizes, codes: Codes, *, half: bool, interleaved: bool) -> None:
        super().__init__()
        self._size, self._codes, self._interleaved = sizes.chroma, codes, interleaved
        self._dtype = torch.float16 if half else torch.float32

    def forward(self, ab_N2hw: Tensor, light_N1hw: Tensor, saturation_1: Tensor) -> Tensor:
        """All fp32 → uint8 (N,2,C,D), interleaved (N,C,D,2)."""
        small = self._chroma(light_N1hw, ab_N2hw * saturation_1).to(self._dtype)
        chroma = functional.interpolate(small, self._size, mode="bilinear")
        if self._interleaved:
            chroma = chroma.permute(0, 2, 3, 1)
        return chroma.round().to(torch.uint8)

    def _chroma(self, light_N1hw: Tensor, ab_N2hw: Tensor) -> Tensor:
        """Return the codes of Cb and Cr (N,2,h,w), not rounded.

        Products are written out: a 1x1 convolution would be rounded to TF32, which costs half a code.
        """
        y = (light_N1hw + 16) / 116
        a, b = ab_N2hw[:, :1], ab_N2hw[:, 1:]
        xyz = [_cubed(y + a / 500), _cubed(y), _cubed(y - b / 200)]
        rgb = [_srgb(_dot(row, xyz).clamp(0, 1)) for row in self._codes.rgb]
        codes = [_dot(row, rgb) + self._codes.neutral for row in self._codes.chroma]
        return torch.cat(codes, 1).clamp(0, 255)


class PlanesColorizer(nn.Module):
    """The whole way of a picture: shrink, L*, network, chroma, enlarge.

    Matrix, range and both sizes are constants, since a stream has one of each and constants fold into the kernels.
    Vividness and saturation are inputs: each costs a multiplication, and a person may turn them while a film runs.
    `half` computes in fp16 wherever 11 bits are enough: on full-size planes and in the network. L*, the palette's
    arithmetic and the color space stay in fp32, at the small size, where they cost next to nothing.
    """

    def __init__(
        self, predictor: Predictor, sizes: Sizes, codes: Codes, *, half: bool = False, interleaved: bool = False
    ) -> None:
        """`half` changes `predictor`; `interleaved` is NV12's order of chroma."""
        super().__init__()
        self.sizes = sizes
        self.reading = Reading(sizes, codes, half=half)
        self.predictor = halved(predictor) if half else predictor
        self.writing = Writing(sizes, codes, half=half, interleaved=interleaved)

    def forward(self, luma_N1HW: Tensor, vividness_1: Tensor, saturation_1: Tensor) -> Tensor:
        """Y' codes uint8 (N,1,H,W) → Cb, Cr codes uint8 (N,2,C,D), interleaved (N,C,D,2).

        Vividness 0..1 and saturation, a factor, are float32 (1,).
        """
        light_N1hw, light_of_ab = self.reading(luma_N1HW)
        ab_N2hw, _ = self.predictor(light_N1hw, vividness_1)
        chroma: Tensor = self.writing(ab_N2hw, light_of_ab, saturation_1)
        return chroma


class InHalf(nn.Module):
    """A network whose arithmetic is fp16 and whose input and output are fp32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, light_N1hw: Tensor) -> Tensor:
        """L* → logits: what comes after them, exponentials and differences of squares, needs more than 11 bits."""
        logits: Tensor = self.network(light_N1hw.half())
        return logits.float()


def halved(predictor: Predictor) -> Predictor:
    """Turn the network of `predictor` to fp16, in place; its palette's arithmetic stays fp32."""
    predictor.network = InHalf(predictor.network)  # type: ignore[assignment]  # called the same way
    return predictor


def _halvings(size: int, small: int) -> int:
    """Return the power of two that leads from `size` to less than twice `small`."""
    factor = 1
    while size // factor >= 2 * small:
        factor *= 2
    return factor


def _cubed(value: Tensor) -> Tensor:
    """Return X, Y or Z, relative to white, of CIE 15's f(X), f(Y), f(Z)."""
    return torch.where(value > _DELTA, value * value * value, (3 * _DELTA**2) * (value - 4 / 29))


def _srgb(linear: Tensor) -> Tensor:
    """Return R', G' or B' of linear light in 0..1 (IEC 61966-2-1)."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _dot(row: Row, parts: Sequence[Tensor]) -> Tensor:
    one, two, three = parts
    return row[0] * one + row[1] * two + row[2] * three
