"""Reads a picture, or a folder of pictures in the order a person would count them."""

import re
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcolor.errors import SourceError
from streamcolor.frames import ColorSpace, ColorTags, Frame, Item, Matrix, Plane, StreamInfo
from streamcolor.sources import SourceReport
from streamcolor.sources.pixels import Chroma, neutral_chroma

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm", ".pbm", ".pnm", ".jp2", ".avif"}
)
_RATE = Fraction(25)  # for a folder that becomes a film
_TAGS = ColorTags(primaries=1, transfer=13, matrix=6)  # sRGB (H.273), with the matrix that JPEG uses


class _Unreadable(Exception):  # noqa: N818  # never leaves this module
    """Why a file gives no picture."""


class ImagesSource:
    """One picture, or a folder of them: full-range BT.601 with a chroma sample per pixel, each in its own size.

    8 bits stay 8; 16 become 12, the deepest that a Frame holds: a sixteenth of a step of an 8-bit screen. Transparency
    is dropped, an EXIF orientation applied. Files that cannot be read are counted and named, and leave a gap in pts.
    """

    def __init__(self, name: str, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Find the pictures and read the first. Raises SourceError if there is none."""
        self._name, self._clock = name, clock
        self._folder, self._pictures = _listed(name, path)
        self._frames = 0
        self._finished = False
        self._damaged: list[str] = []
        self._warnings: list[str] = []
        self._readable = self._read()
        self._first = next(self._readable, None)
        if self._first is None:
            raise SourceError(f"{name}: no picture of {path} can be read: {self._damaged[0]}")
        height, width = self._first.luma.shape
        self.info = StreamInfo(
            name=name,
            width=width,
            height=height,
            rate=_RATE,
            time_base=1 / _RATE,
            space=self._first.space,
            chroma_shift=(0, 0),
            tags=_TAGS,
            frames=len(self._pictures),
            duration=float(len(self._pictures) / _RATE),
            pictures=self._pictures,
        )

    def __iter__(self) -> Iterator[Item]:
        """Give every picture that can be read; its pts is its place in `info.pictures`."""
        frame = self._first
        self._first = None  # so that the iteration does not keep the first picture alive
        while frame is not None:
            self._frames += 1
            yield frame
            frame = next(self._readable, None)
        self._finished = True

    def close(self) -> None:
        """Nothing stays open between two pictures."""

    def report(self) -> SourceReport:
        """Count what happened so far."""
        return SourceReport(
            frames=self._frames,
            undecodable=len(self._damaged),
            warnings=(*self._damaged, *self._warnings),
            complete=self._finished and not self._damaged,
        )

    def _read(self) -> Iterator[Frame]:
        for index, picture in enumerate(self._pictures):
            try:
                samples = _samples(self._folder / picture)
            except _Unreadable as error:
                self._damaged.append(f"{picture} {error}")
                continue
            if (pages := cv2.imcount(str(self._folder / picture))) > 1:
                self._warnings.append(f"{picture} has {pages} pages or frames: only the first is colored")
            space = ColorSpace(Matrix.BT601, full_range=True, depth=8 if samples.dtype == np.uint8 else 12)
            luma, chroma = _planes(samples, space)
            yield Frame(self._name, index, luma, chroma, space, self._clock())


def _listed(name: str, path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the folder and the names of the pictures in it, "2" before "10"."""
    try:
        if path.is_file():
            return path.parent, (path.name,)
        found = [file.name for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    except OSError as error:
        why = "no such file or folder" if isinstance(error, FileNotFoundError) else error.strerror
        raise SourceError(f"{name}: cannot open {path}: {why}") from error
    shown = sorted((file for file in found if not file.startswith(".")), key=_natural)
    if not shown:
        raise SourceError(f"{name}: no pictures in {path} ({', '.join(sorted(SUFFIXES))})")
    return path, tuple(shown)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _samples(path: Path) -> Plane:
    """Decode a file: (H,W) gray or (H,W,3) BGR."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from error
    if not data:
        raise _Unreadable("is empty")
    # Not IMREAD_UNCHANGED, which would also leave an EXIF orientation to us.
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise _Unreadable(f"cannot be decoded: {error.err}") from error
    if samples is None:
        raise _Unreadable("is damaged or not a picture")
    if samples.dtype not in (np.uint8, np.uint16):
        raise _Unreadable(f"has samples of {samples.dtype}; 8 and 16 bits are understood")
    return cast("Plane", samples)


def _planes(samples: Plane, space: ColorSpace) -> tuple[Plane, Chroma]:
    """Return luma (H,W) and Cb, Cr (H,W)."""
    if samples.ndim == 2:
        return _held(samples), neutral_chroma(samples.shape, space)
    luma, cr, cb = (_held(plane) for plane in cv2.split(cv2.cvtColor(samples, cv2.COLOR_BGR2YCrCb)))
    return luma, (cb, cr)


def _held(plane: NDArray[np.generic]) -> Plane:
    """Round 16 bits to the 12 that a Frame holds; keep 8."""
    if plane.dtype == np.uint8:
        return cast("NDArray[np.uint8]", plane)
    return ((plane.astype(np.uint32) * 4095 + 32767) // 65535).astype(np.uint16)
