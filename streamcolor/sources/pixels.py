"""Pictures of any pixel format, size and color description become planes of one kind of Y'CbCr."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, cast

import numpy as np
from av import VideoFormat, VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from streamcolor.frames import ColorSpace, ColorTags, Matrix, Plane
from streamcolor.sources.surfaces import marks_of, pixels_of

Chroma: TypeAlias = tuple[Plane, Plane]

_SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}
_LIMITED, _FULL = 1, 2  # AVColorRange

# ITU-T H.273 table 4, as FFmpeg numbers it; FCC (4), SMPTE 240M (7), constant luminance (10) pass for their nearest.
_MATRICES = {
    1: Matrix.BT709,
    4: Matrix.BT601,
    5: Matrix.BT601,
    6: Matrix.BT601,
    7: Matrix.BT709,
    9: Matrix.BT2020,
    10: Matrix.BT2020,
}
_SWSCALE = {Matrix.BT709: Colorspace.ITU709, Matrix.BT601: Colorspace.ITU601, Matrix.BT2020: Colorspace.BT2020}

# With these two, R = G = B becomes Y' = R and exactly neutral chroma; without them chroma is off by one.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True)
class Layout:
    """The pixel format in which a stream's pictures are handed on."""

    name: str  # FFmpeg's
    depth: int  # bits per sample
    chroma_shift: tuple[int, int]  # log2 of the subsampling across, down
    gray: bool  # no chroma planes

    @classmethod
    def nearest(cls, pixels: VideoFormat) -> "Layout":
        """Return the layout that loses least; RGB becomes 4:2:0, since its chroma is to be replaced."""
        sampling, depth = _sampling(pixels), _depth(pixels)
        gray = sampling == "gray"
        name = ("gray" if gray else f"yuv{sampling}p") + ("" if depth == 8 else f"{depth}le")
        return cls(name, depth, _SHIFTS.get(sampling, (1, 1)), gray)


def _depth(pixels: VideoFormat) -> int:
    bits = max(component.bits for component in pixels.components)
    return 8 if bits <= 8 or pixels.has_palette else 10 if bits <= 10 else 12


def _sampling(pixels: VideoFormat) -> str:
    if _is_rgb(pixels):
        return "420"
    if sum(not component.is_alpha for component in pixels.components) == 1:
        return "gray"
    across, down = pixels.chroma_width(16), pixels.chroma_height(16)
    if across == 16:
        return "444"
    return "422" if down == 16 else "420"


def _is_rgb(pixels: VideoFormat) -> bool:
    return pixels.is_rgb or pixels.has_palette or pixels.is_bayer or pixels.name.startswith("xyz")


def has_alpha(pixels: VideoFormat) -> bool:
    """Tell whether transparency would be lost (a palette always could hold some, and never does in films)."""
    return not pixels.has_palette and any(component.is_alpha for component in pixels.components)


def space_of(picture: VideoFrame, *, matrix: int = 2, full: int = 0) -> ColorSpace:
    """Read a picture's color space; `matrix` and `full` are the codec's numbers, for what the picture leaves open.

    Unmarked: BT.709 from 720 lines or 1280 columns up, else BT.601, as players take it; limited range, except gray
    formats and RGB, which FFmpeg holds in full range.
    """
    pixels = pixels_of(picture)
    layout = Layout.nearest(pixels)
    large = picture.height >= 720 or picture.width >= 1280
    by_size = Matrix.BT709 if large else Matrix.BT601
    by_codec = _MATRICES.get(matrix, by_size)
    marked = picture.color_range or full
    unmarked_full = layout.gray and marked != _LIMITED
    full_range = _is_rgb(pixels) or pixels.name.startswith("yuvj") or marked == _FULL or unmarked_full
    return ColorSpace(_MATRICES.get(picture.colorspace, by_codec), full_range, layout.depth)


def tags_of(picture: VideoFrame, space: ColorSpace) -> ColorTags:
    """Describe the colors as they will be handed on: the matrix is the one used, whatever the source said."""
    number = space.matrix.number(picture.colorspace)
    return ColorTags(picture.color_primaries or 2, picture.color_trc or 2, number)


class Normalizer:
    """Makes every picture of a stream like the first; pictures that already are pass untouched."""

    def __init__(self, first: VideoFrame, *, matrix: int = 2, full: int = 0) -> None:
        self._codec_matrix, self._codec_range = matrix, full
        self.size = first.width, first.height
        self.layout = Layout.nearest(pixels_of(first))
        self.space = space_of(first, matrix=matrix, full=full)
        self.tags = tags_of(first, self.space)
        self.rescaled = 0
        self._first = marks_of(first)
        planar = first.format.name.replace("yuvj", "yuv").replace("yuva", "yuv")  # an alpha plane is the last
        self._in_place = planar == self.layout.name
        self._swscale = VideoReformatter()
        shape = -(-first.height // 2), -(-first.width // 2)
        self._neutral = neutral_chroma(shape, self.space) if self.layout.gray else None

    def __call__(self, picture: VideoFrame) -> VideoFrame:
        """Return the picture in our layout, size and color space."""
        marks = marks_of(picture)
        if marks == self._first and self._in_place:
            return picture
        space = space_of(picture, matrix=self._codec_matrix, full=self._codec_range)
        if marks[:3] != self._first[:3] or space != self.space:
            self.rescaled += 1
        elif self._in_place:
            return picture  # marked in another way, but meaning the same
        return self._swscale.reformat(
            picture,
            *self.size,
            self.layout.name,
            src_colorspace=_SWSCALE[space.matrix],
            dst_colorspace=_SWSCALE[self.space.matrix],
            src_color_range=_FULL if space.full_range else _LIMITED,
            dst_color_range=_FULL if self.space.full_range else _LIMITED,
            interpolation=_EXACT,
            threads=1,  # 0 would start one thread per core, against the model's
        )

    def planes(self, picture: VideoFrame) -> tuple[Plane, Chroma]:
        """Look at a normalized picture's planes in place: luma (H,W) and Cb, Cr; read them, never write them."""
        luma, *chroma = (self._view(plane) for plane in picture.planes[: 1 if self._neutral else 3])
        return luma, self._neutral or (chroma[0], chroma[1])

    def _view(self, plane: VideoPlane) -> Plane:
        samples = np.frombuffer(cast("memoryview", plane), self.space.dtype)
        rows = samples.reshape(-1, plane.line_size // samples.itemsize)
        return cast("Plane", rows[: plane.height, : plane.width])


@lru_cache(maxsize=1)
def neutral_chroma(shape: tuple[int, ...], space: ColorSpace) -> Chroma:
    """One read-only plane for all gray pictures of a size: no chroma costs nothing."""
    plane = cast("Plane", np.full(shape, 1 << (space.depth - 1), space.dtype))
    plane.flags.writeable = False
    return plane, plane
