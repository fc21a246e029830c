"""The networks that can be trained, by their name in the settings, each with its loss and its exported form."""

from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor

from streamcolor.nets import autoencoder
from streamcolor.nets.autoencoder import REDUCTION, Autoencoder, Predictor, Shape

from . import seed
from .config import Settings
from .loss import ColorLoss
from .seed import Seed, SeedPredictor, SquaredError

Network: TypeAlias = Autoencoder | Seed
Palette: TypeAlias = tuple[Tensor, Tensor]  # colors (Q,2) and prior (Q,)

# Beside the family's, those that show what `tiny` owes to its width and to its depth: see training.ablate.
SHAPES = autoencoder.SHAPES | {
    "tiny-narrow": Shape(widths=(12, 24, 48, 96, 128), blocks=(0, 1, 2, 2, 2), decoder=(64, 48, 24, 16)),
    "tiny-shallow": Shape(widths=(24, 48, 96, 192, 256), blocks=(0, 0, 0, 0, 0), decoder=(128, 96, 48, 32)),
}


def needs_palette(shape: str) -> bool:
    """Tell whether a network gives a distribution over colors rather than a color."""
    return shape in SHAPES


def build(shape: str, palette: Palette | None) -> Network:
    """Return a new network."""
    return Autoencoder(SHAPES[shape], *palette) if palette is not None else Seed()


def loss_for(settings: Settings, palette: Palette | None) -> ColorLoss | SquaredError:
    """Return what to minimize: called with the network's output and the true a,b, it gives the terms in `parts`."""
    if palette is None:
        return SquaredError()
    return ColorLoss(
        *palette,
        rebalance=settings.rebalance,
        huber=settings.huber,
        squared=settings.squared,
        smooth=settings.smooth,
    )


PIXELS = 192 * 192  # area that an exported network works at; 256x128 for widescreen
STRIDE = 64  # that of the deepest network: sizes of validation suit them all


def grain_of(shape: str) -> int:
    """Return what the side of a training sample must be a multiple of."""
    return REDUCTION if needs_palette(shape) else seed.STRIDE


def stride_of(shape: str) -> int:
    """Return what the height and width of a network's input must be multiples of."""
    return SHAPES[shape].stride if shape in SHAPES else seed.STRIDE


def predictor_of(network: Network, strength: Mapping[str, float]) -> Predictor | SeedPredictor:
    """Return what is exported; `strength` are the Predictor's settings."""
    return SeedPredictor(network) if isinstance(network, Seed) else Predictor(network, **strength)
