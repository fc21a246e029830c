"""Pictures for training: found in any layout, read one by one, drawn evenly over their sources.

A sample is a function of (seed, its number) alone. So nothing is preloaded, an interrupted run goes on where it stopped
with the very samples it would have seen, and several processes share the numbers without talking to each other.
"""

import csv
import gzip
import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from streamcolor.color import ab_from_rgb
from streamcolor.nets.autoencoder import REDUCTION

from .degrade import degrade, luma

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}
GREY = 4.0  # mean distance from neutral, in CIE units, below which a picture teaches only grey
TRIES = 20  # draws before a data set counts as unusable

Rgb = NDArray[np.uint8]  # (H, W, 3)


class UnusableDataError(Exception):
    """No picture could be read, or all of them are grey."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Where one picture lies: a file, or a member of a zip shard."""

    source: str  # the collection it belongs to: sampling is even over these
    name: str
    folder: Path
    shard: str | None = None

    def read(self) -> Rgb | None:
        """Return the picture, or None if it is damaged."""
        if self.shard is None:
            data = np.fromfile(self.folder / self.name, np.uint8)
        else:
            data = np.frombuffer(_shard(self.folder / self.shard).read(self.name), np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


@cache
def _shard(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def find_pictures(folder: Path) -> list[Picture]:
    """List the pictures below `folder`, sorted: loose files in any layout, or zip shards named by `index.csv.gz`.

    A loose picture's source is the folder right below `folder` that it lies in. An index row needs `name` and
    `shard`; `source` and `mean_chroma` are used where given (grey pictures are then left out unread).
    """
    index = folder / "index.csv.gz"
    if index.is_file():
        with gzip.open(index, "rt", newline="") as rows:
            return [
                Picture(row.get("source", "shards"), row["name"], folder, row["shard"])
                for row in csv.DictReader(rows)
                if float(row.get("mean_chroma", GREY)) >= GREY
            ]
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    names = [path.relative_to(folder) for path in files]
    return [Picture(name.parts[0] if len(name.parts) > 1 else ".", str(name), folder) for name in names]


def split(pictures: Sequence[Picture], held_back: Sequence[str], share: float) -> tuple[list[Picture], list[Picture]]:
    """Split into (training, validation): whole sources named by `held_back`, else a fixed `share` chosen by name.

    Only pictures of sources that are not trained on measure how a network generalizes.
    """
    known = {picture.source for picture in pictures}
    if missing := set(held_back) - known:
        raise UnusableDataError(f"sources to hold back are not in the data: {', '.join(sorted(missing))}")

    def held(picture: Picture) -> bool:
        if held_back:
            return picture.source in held_back
        digest = hashlib.sha256(picture.name.encode()).digest()
        return int.from_bytes(digest[:4], "big") < share * 2**32

    return [p for p in pictures if not held(p)], [p for p in pictures if held(p)]


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
    ) -> None:
        """`length` samples of `size` pixels, each a square of `smallest`..1 times a picture's short side.

        A source of n pictures is drawn with a chance in proportion to n**`evenness`, times its entry in `weights`;
        a part `hinted` of the samples tells some of its colors.
        """
        if not pictures:
            raise UnusableDataError("no pictures found")
        self._pictures, self._size, self._length, self._seed = list(pictures), size, length, seed
        self._smallest, self._hinted = smallest, hinted
        counts = Counter(picture.source for picture in pictures)
        factors = dict.fromkeys(counts, 1.0) | dict(weights or {})
        chances = np.array([factors[p.source] * counts[p.source] ** (evenness - 1) for p in pictures])
        self._cumulative = np.cumsum(chances / chances.sum())

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self._seed, number))
        rgb, damaged, grey = self._draw(rng)
        picture = crop(rgb, rng, size=self._size, smallest=self._smallest)
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        light = degrade(luma(picture, rng), rng)
        ab = ab_of(picture)
        hints = some_hints(ab, rng) if rng.random() < self._hinted else np.zeros((3, *ab.shape[1:]), np.float32)
        return {
            "light": torch.from_numpy(light[None]),
            "ab": torch.from_numpy(ab),
            "hints": torch.from_numpy(hints),
            "damaged": torch.tensor(damaged),
            "grey": torch.tensor(grey),
        }

    def _draw(self, rng: np.random.Generator) -> tuple[Rgb, int, int]:
        """Return a usable picture, and how many damaged and grey ones were met before it."""
        damaged = grey = 0
        for _ in range(TRIES):
            place = min(int(np.searchsorted(self._cumulative, rng.random())), len(self._pictures) - 1)
            rgb = self._pictures[place].read()
            if rgb is None:
                damaged += 1
            elif is_grey(rgb):
                grey += 1
            else:
                return rgb, damaged, grey
        raise UnusableDataError(f"{TRIES} draws gave {damaged} damaged and {grey} grey pictures")


def crop(rgb: Rgb, rng: np.random.Generator, *, size: int, smallest: float) -> Rgb:
    """Cut a random square of `smallest`..1 times the short side and bring it to (size, size, 3)."""
    height, width = rgb.shape[:2]
    side = max(1, round(min(height, width) * rng.uniform(smallest, 1)))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    how = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb[top : top + side, left : left + side], (size, size), interpolation=how), np.uint8)


def ab_of(rgb: Rgb) -> NDArray[np.float32]:
    """Return a,b (2, H/4, W/4) of the area-averaged picture: what the network is to say."""
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (width // REDUCTION, height // REDUCTION), interpolation=cv2.INTER_AREA)
    return ab_from_rgb(small)


def is_grey(rgb: Rgb) -> bool:
    """Tell whether a picture has hardly any color, looking at 32x32 averages of it."""
    a, b = ab_from_rgb(cv2.resize(rgb, (32, 32), interpolation=cv2.INTER_AREA))
    return float(np.hypot(a, b).mean()) < GREY


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


def usable(pictures: Sequence[Picture], count: int) -> Iterator[tuple[Picture, Rgb]]:
    """Yield up to `count` readable colored pictures, spread evenly over the list."""
    found = 0
    for place in np.random.default_rng(0).permutation(len(pictures)):
        rgb = pictures[place].read()
        if rgb is not None and not is_grey(rgb):
            yield pictures[place], rgb
            found += 1
            if found == count:
                return
