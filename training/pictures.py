"""Pictures for training: found in any layout, also in videos, and read one by one; nothing is preloaded."""

import csv
import gzip
import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcolor.color import ab_from_rgb

from . import stills
from .stills import Rgb

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}
GRAY = 4.0  # mean distance from neutral, in CIE units, below which a picture teaches only gray

# The layout of Kaggle's "image-colorization-dataset": the truth, and gray twins that we make ourselves.
TRUTH, TEST = {"train_color", "test_color"}, "test_color"
TWINS = {"train_black", "test_black"}


class UnusableDataError(Exception):
    """No picture could be read, or all of them are gray."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Where one picture lies: a file, a member of a zip shard, or a moment of a video."""

    source: str  # the collection it belongs to: sampling is even over these
    name: str
    folder: Path
    shard: str | None = None
    moment: float | None = None  # 0..1 of a clip's length
    test: bool = False  # of a collection's own test part: never trained on

    def read(self) -> Rgb | None:
        """Return the picture, or None if it is damaged."""
        if self.moment is not None:
            return stills.read_still(self.folder / self.name, self.moment)
        data = self.stored()
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def stored(self) -> NDArray[np.uint8]:
        """Return the bytes of the file or of the shard's member, as they are."""
        if self.shard is None:
            return np.fromfile(self.folder / self.name, np.uint8)
        return np.frombuffer(_shard(self.folder / self.shard, os.getpid()).read(self.name), np.uint8)


@cache
def _shard(path: Path, _process: int) -> zipfile.ZipFile:
    """Open a shard once in every process: forked ones would share the place at which the file is read."""
    return zipfile.ZipFile(path)


def find_pictures(folder: Path) -> list[Picture]:
    """List the pictures below `folder`, sorted: loose files in any layout, or zip shards named by `index.csv.gz`.

    A loose picture's source is the folder right below `folder` that it lies in; a video counts as many stills. An index
    row needs `name` and `shard`; `source` and `mean_chroma` are used where given (gray pictures are then left out
    unread). Where there is a `train_color` or `test_color`, the gray twins beside it are passed over.
    """
    index = folder / "index.csv.gz"
    if index.is_file():
        with gzip.open(index, "rt", newline="") as rows:
            return [
                Picture(row.get("source", "shards"), row["name"], folder, row["shard"])
                for row in csv.DictReader(rows)
                if float(row.get("mean_chroma") or GRAY) >= GRAY
            ]
    suffixes = SUFFIXES | stills.SUFFIXES
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    names = [path.relative_to(folder) for path in files]
    layouts = {name.parts[:place] for name in names for place in _places(name, TRUTH)}
    wanted = [name for name in names if not layouts & {name.parts[:place] for place in _places(name, TWINS)}]
    return [picture for name in wanted for picture in _pictures_of(name, folder)]


def _places(name: Path, folders: set[str]) -> list[int]:
    return [place for place, part in enumerate(name.parts[:-1]) if part in folders]


def _pictures_of(name: Path, folder: Path) -> Iterator[Picture]:
    source = name.parts[0] if len(name.parts) > 1 else "."
    video = name.suffix.lower() in stills.SUFFIXES
    for moment in stills.moments(folder / name) if video else [None]:
        yield Picture(source, str(name), folder, moment=moment, test=bool(_places(name, {TEST})))


def split(pictures: Sequence[Picture], held_back: Sequence[str], share: float) -> tuple[list[Picture], list[Picture]]:
    """Split into (training, validation): whole sources named by `held_back`, else a fixed `share` chosen by name.

    A collection's own test part is never trained on, and where there is one, it does for the share. All stills of a
    clip have its name, so they stay together. Only sources that are not trained on measure how a network generalizes.
    """
    known = {picture.source for picture in pictures}
    if missing := set(held_back) - known:
        raise UnusableDataError(f"sources to hold back are not in the data: {', '.join(sorted(missing))}")
    tested = any(picture.test for picture in pictures)

    def held(picture: Picture) -> bool:
        if picture.test or held_back or tested:
            return picture.test or picture.source in held_back
        digest = hashlib.sha256(picture.name.encode()).digest()
        return int.from_bytes(digest[:4], "big") < share * 2**32

    return [p for p in pictures if not held(p)], [p for p in pictures if held(p)]


def chosen(pictures: list[Picture], count: int | None, *, seed: int) -> list[Picture]:
    """Return `count` of the pictures, chosen at random and in their order; all of them if there are no more."""
    if count is None or count >= len(pictures):
        return pictures
    places = np.random.default_rng(seed).choice(len(pictures), count, replace=False)
    return [pictures[place] for place in sorted(places)]


def is_gray(rgb: Rgb) -> bool:
    """Tell whether a picture has hardly any color, looking at 32x32 averages of it."""
    a, b = ab_from_rgb(cv2.resize(rgb, (32, 32), interpolation=cv2.INTER_AREA))
    return float(np.hypot(a, b).mean()) < GRAY


def usable(pictures: Sequence[Picture], count: int) -> Iterator[tuple[Picture, Rgb]]:
    """Yield up to `count` readable colored pictures, spread evenly over the list."""
    found = 0
    for place in np.random.default_rng(0).permutation(len(pictures)):
        rgb = pictures[place].read()
        if rgb is not None and not is_gray(rgb):
            yield pictures[place], rgb
            found += 1
            if found == count:
                return
