"""Training samples: crops of pictures, drawn evenly over their sources, and what the network is to say of them.

A sample is a function of (seed, its number) alone. So nothing is preloaded, an interrupted run goes on where it stopped
with the very samples it would have seen, and several processes share the numbers without talking to each other.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from streamcolor.color import ab_from_rgb
from streamcolor.nets.autoencoder import REDUCTION

from .degrade import BT601, degrade, luma
from .pictures import Picture, UnusableDataError, is_gray
from .stills import Rgb

TRIES = 20  # draws before a data set counts as unusable


class Samples(Dataset[dict[str, Tensor]]):
    """Training samples by number: (light (1,s,s), ab (2,s/4,s/4), hints (3,s/4,s/4))."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        *,
        size: int,
        length: int,
        seed: int,
        smallest: float = 0.5,
        evenness: float = 0.5,
        weights: Mapping[str, float] | None = None,
        hinted: float = 0.1,
        degraded: bool = True,
        jittered: float = 0.0,
    ) -> None:
        """`length` samples of `size` pixels, each a square of `smallest`..1 times a picture's short side.

        A source of n pictures is drawn with a chance in proportion to n**`evenness`, times its entry in `weights`;
        a part `hinted` of the samples tells some of its colors; `degraded` ones have a damaged input; in a part
        `jittered`, colors are those of another print.
        """
        if not pictures:
            raise UnusableDataError("no pictures found")
        self._pictures, self._size, self._length, self._seed = list(pictures), size, length, seed
        self._smallest, self._hinted, self._degraded, self._jittered = smallest, hinted, degraded, jittered
        counts = Counter(picture.source for picture in pictures)
        factors = dict.fromkeys(counts, 1.0) | dict(weights or {})
        chances = np.array([factors[p.source] * counts[p.source] ** (evenness - 1) for p in pictures])
        self._cumulative = np.cumsum(chances / chances.sum())

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self._seed, number))
        rgb, damaged, gray = self._draw(rng)
        picture = crop(rgb, rng, size=self._size, smallest=self._smallest)
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        if self._jittered and rng.random() < self._jittered:
            picture = jitter(picture, rng)
        light = degrade(luma(picture, rng), rng) if self._degraded else luma(picture)
        ab = ab_of(picture)
        hints = some_hints(ab, rng) if rng.random() < self._hinted else np.zeros((3, *ab.shape[1:]), np.float32)
        return {
            "light": torch.from_numpy(light[None]),
            "ab": torch.from_numpy(ab),
            "hints": torch.from_numpy(hints),
            "damaged": torch.tensor(damaged),
            "gray": torch.tensor(gray),
        }

    def _draw(self, rng: np.random.Generator) -> tuple[Rgb, int, int]:
        """Return a usable picture, and how many damaged and gray ones were met before it."""
        damaged = gray = 0
        for _ in range(TRIES):
            place = min(int(np.searchsorted(self._cumulative, rng.random())), len(self._pictures) - 1)
            rgb = self._pictures[place].read()
            if rgb is None:
                damaged += 1
            elif is_gray(rgb):
                gray += 1
            else:
                return rgb, damaged, gray
        raise UnusableDataError(f"{TRIES} draws gave {damaged} damaged and {gray} gray pictures")


def crop(rgb: Rgb, rng: np.random.Generator, *, size: int, smallest: float) -> Rgb:
    """Cut a random square of `smallest`..1 times the short side and bring it to (size, size, 3)."""
    height, width = rgb.shape[:2]
    side = max(1, round(min(height, width) * rng.uniform(smallest, 1)))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    how = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb[top : top + side, left : left + side], (size, size), interpolation=how), np.uint8)


def jitter(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Print a picture as another camera or film would: other white balance, more or less saturation, about as light.

    How warm and how colorful a collection is says more about its camera than about the world; a network that learns it
    is wrong elsewhere.
    """
    weights = BT601.astype(np.float32)
    printed = rgb * np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    gray = (printed @ weights)[..., None]
    colored = gray + rng.uniform(0.4, 1.2) * (printed - gray)
    lighter = float((rgb @ weights).mean()) / max(1.0, float(gray.mean()))
    return np.asarray(np.rint(colored * lighter).clip(0, 255), np.uint8)


def ab_of(rgb: Rgb) -> NDArray[np.float32]:
    """Return a,b (2, H/4, W/4) of the area-averaged picture: what the network is to say."""
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (width // REDUCTION, height // REDUCTION), interpolation=cv2.INTER_AREA)
    return ab_from_rgb(small)


def some_hints(ab: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Tell the colors of a few random small patches: (a/50, b/50, mask), zero elsewhere."""
    hints = np.zeros((3, *ab.shape[1:]), np.float32)
    for _ in range(rng.geometric(0.2)):
        side = int(rng.integers(1, 4))
        top, left = (int(rng.integers(0, extent - side + 1)) for extent in ab.shape[1:])
        place = (slice(None), slice(top, top + side), slice(left, left + side))
        hints[:2][place] = ab[place].mean((1, 2), keepdims=True) / 50
        hints[2:][place] = 1
    return hints
