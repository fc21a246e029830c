"""The sink that writes pictures: one file, or a folder of them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcolor.color import rgb_from_ycbcr
from streamcolor.errors import SinkError
from streamcolor.frames import Frame, Item, Plane, StreamInfo
from streamcolor.sinks.partial import PartialFolder, check_free, explained
from streamcolor.sinks.synthetic import xmp

Pixels = NDArray[np.uint8] | NDArray[np.uint16]  # (H,W,3), blue first

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm")
_DEEP: Final = (".png", ".tif", ".tiff", ".ppm")  # hold 16 bits per sample
_TAGGED: Final = (".png", ".jpg", ".jpeg", ".webp")  # hold XMP
_QUALITY: Final = {".webp": [cv2.IMWRITE_WEBP_QUALITY, 95]}  # OpenCV's choice for JPEG; WebP would be lossless
_STRIP: Final = 256  # rows


class ImagesSink:
    """Writes each frame as an RGB picture: to `path` if it is a picture's name, else into that folder.

    Pictures of a folder keep their names; frames of a video are numbered. 8-bit input gives 8 bits, deeper input
    16 bits where the format holds them.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        tag: str = "",  # see synthetic_color()
    ) -> None:
        self._path, self._overwrite, self._tag = Path(path), overwrite, tag
        self._one = False  # a picture's name was given, not a folder's
        self._output: PartialFolder | None = None
        self._names: dict[int, str] = {}
        self._frames = 0
        self._upright: Callable[[Pixels], Pixels]
        self.warnings: tuple[str, ...] = ()

    def open(self, info: StreamInfo) -> None:
        """Choose the names of the pictures, and make a place for them."""
        with explained(self._path):
            self._one = self._path.suffix.lower() in PICTURE_SUFFIXES and not self._path.is_dir()
        self._upright = partial(upright, aspect=info.sample_aspect_ratio, matrix=info.display_matrix)
        if self._one and len(info.pictures) > 1:
            raise self._too_many()
        if not self._one:
            self._names = self._chosen_names(info)
        folder = self._path.parent if self._one else self._path
        for name in [self._path.name] if self._one else self._names.values():
            check_free(folder / name, overwrite=self._overwrite)
        self._output = PartialFolder(self._path, folder, overwrite=self._overwrite)

    def write(self, item: Item) -> None:
        """Write one picture; packets have no place in a picture."""
        if not isinstance(item, Frame):
            return
        assert self._output is not None
        self._frames += 1
        if self._one and self._frames > 1:
            raise self._too_many()
        name = self._path.name if self._one else self._names.get(item.pts, f"{self._frames:06d}.png")
        self._output.write(name, self._encoded(item, name))

    def finish(self) -> None:
        """Put the pictures under their names."""
        assert self._output is not None
        if not self._frames:
            raise SinkError(f"cannot write {self._path}: not one picture arrived")
        self._output.keep()

    def close(self) -> None:
        """Remove what was not finished."""
        if self._output is not None:
            self._output.discard()

    def _chosen_names(self, info: StreamInfo) -> dict[int, str]:
        """Return a file name for each pts: the source's, as PNG where we cannot write its format."""
        names: dict[int, str] = {}
        taken = {name.lower() for name in info.pictures if Path(name).suffix.lower() in PICTURE_SUFFIXES}
        for pts, name in enumerate(info.pictures):
            file = Path(name)
            if file.suffix.lower() not in PICTURE_SUFFIXES:
                file = _free_name(file.with_suffix(".png"), taken)
                self._warn(f"{name} becomes {file.name}: pictures are not written as {Path(name).suffix or 'such'}")
            names[pts] = file.name
        return names

    def _encoded(self, frame: Frame, name: str) -> bytes:
        suffix = Path(name).suffix.lower()
        pixels = self._upright(to_bgr(frame))
        if pixels.dtype == np.uint16 and suffix not in _DEEP:
            self._warn(f"{suffix} holds 8 bits per sample, the source has {frame.space.depth}; .png and .tif keep them")
            pixels = ((pixels + np.uint32(128)) // 257).astype(np.uint8)
        if self._tag and suffix not in _TAGGED:
            self._warn(f"{suffix} cannot say that the color is synthetic; {', '.join(_TAGGED)} can")
        try:
            return _compressed(suffix, pixels, self._tag if suffix in _TAGGED else "")
        except cv2.error as error:
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise SinkError(f"cannot write {name}: {suffix} does not hold a picture of {size}; .png does") from error

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings += (text,)

    def _too_many(self) -> SinkError:
        return SinkError(f"cannot write {self._path}: it is one picture and the input has more; name a folder")


def to_bgr(frame: Frame) -> Pixels:
    """Return a frame as pixels (H,W,3), blue first: uint8 for 8-bit frames, else the whole range of uint16."""
    height, width = frame.luma.shape
    cb, cr = (
        plane if plane.shape == (height, width) else cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        for plane in frame.chroma
    )
    shape = (height, width, 3)
    pixels: Pixels = np.empty(shape, np.uint8) if frame.space.depth == 8 else np.empty(shape, np.uint16)
    white = np.iinfo(pixels.dtype).max
    for top in range(0, height, _STRIP):  # a strip at a time: floats of a large picture would fill the memory
        rows = slice(top, top + _STRIP)
        rgb = rgb_from_ycbcr(frame.luma[rows], cast("Plane", cb[rows]), cast("Plane", cr[rows]), frame.space)
        pixels[rows] = np.rint(rgb[..., ::-1] * white)
    return pixels


def upright(pixels: Pixels, *, aspect: Fraction, matrix: Sequence[int]) -> Pixels:
    """Return pixels (H,W,3) as a player shows them, which a picture's file does not tell.

    `aspect` is that of a sample, `matrix` FFmpeg's display matrix: x' = m0 x + m3 y, y' = m1 x + m4 y. Quarter
    turns and mirrors are applied; other angles are rounded to them.
    """
    height, width = pixels.shape[:2]
    if aspect != 1:
        size = max(1, round(width * aspect)), height
        pixels = cast("Pixels", cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR))
    if matrix:
        across, down = matrix[0], matrix[4]
        if abs(matrix[1]) > abs(across):
            pixels, across, down = pixels.swapaxes(0, 1), matrix[3], matrix[1]
        pixels = pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
    return cast("Pixels", np.ascontiguousarray(pixels))


def _compressed(suffix: str, pixels: Any, tag: str) -> bytes:
    quality = _QUALITY.get(suffix, [])
    if tag:
        statement = np.frombuffer(xmp(tag), np.uint8)
        good, data = cv2.imencodeWithMetadata(suffix, pixels, [cv2.IMAGE_METADATA_XMP], [statement], quality)
    else:
        good, data = cv2.imencode(suffix, pixels, quality)
    if not good:
        raise cv2.error(f"imencode {suffix}")
    return data.tobytes()


def _free_name(file: Path, taken: set[str]) -> Path:
    """Return the name, numbered if another picture has it."""
    chosen, number = file, 1
    while chosen.name.lower() in taken:
        number += 1
        chosen = file.with_stem(f"{file.stem}-{number}")
    taken.add(chosen.name.lower())
    return chosen
