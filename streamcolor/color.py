"""Y'CbCr, R'G'B' and CIE L*a*b*: the tables and matrices that lead from codes to color and back.

R'G'B' is sRGB (IEC 61966-2-1): BT.709 primaries, white D65, the sRGB transfer curve. Luma of every matrix is read with
that curve too, because it is what a screen does with it. Matrices and ranges of codes are those of ITU-T H.273
(BT.601, BT.709, BT.2020 non-constant luminance), L*a*b* that of CIE 15 with the white point of the sRGB matrix, so
that gray is exactly a = b = 0.

H,W a picture's size; h,w a small picture's; ... any leading axes. Light is L* in 0..100, a and b are in CIE units.
"""

from functools import cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcolor.frames import ColorSpace, Matrix, Plane

Floats: TypeAlias = NDArray[np.float32]

SRGB: Final = ColorSpace(Matrix.BT709, full_range=True)
"""A picture of uint8 read as Y' = gray: what `light_from_gray` means by a code."""

_RGB_TO_XYZ: Final = np.array(  # from the primaries and D65, unrounded: IEC 61966-2-1 prints four digits
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], np.float64
)
_RGB_TO_RELATIVE_XYZ: Final = _RGB_TO_XYZ / _RGB_TO_XYZ.sum(axis=1, keepdims=True)  # white is (1, 1, 1)
RGB_FROM_RELATIVE_XYZ: Final = np.linalg.inv(_RGB_TO_RELATIVE_XYZ)
_EPSILON: Final = (6 / 29) ** 3  # CIE 15: below it the cube root becomes a straight line
_KAPPA: Final = (29 / 3) ** 3


def linear_from_srgb(value: NDArray[Any]) -> NDArray[Any]:
    """Return the linear light of sRGB values in 0..1 (IEC 61966-2-1)."""
    return np.where(value <= 0.04045, value / 12.92, ((np.maximum(value, 0) + 0.055) / 1.055) ** 2.4)


def light_from_luminance(luminance: NDArray[Any]) -> NDArray[Any]:
    """Return L* of a relative luminance in 0..1 (CIE 15)."""
    return np.where(luminance > _EPSILON, 116 * np.cbrt(luminance) - 16, _KAPPA * luminance)


def code_range(space: ColorSpace) -> tuple[float, float, float, float]:
    """Return (black, luma codes from black to white, neutral, chroma codes from -0.5 to 0.5) (ITU-T H.273, 8.3)."""
    step = 1 << (space.depth - 8)
    if space.full_range:
        top = (1 << space.depth) - 1
        return 0.0, float(top), 128.0 * step, float(top)
    return 16.0 * step, 219.0 * step, 128.0 * step, 224.0 * step


@cache
def light_table(space: ColorSpace) -> Floats:
    """Return L* of the gray of every luma code: float32 (2 ** depth), read-only.

    Codes blacker than black and whiter than white count as black and white.
    """
    black, span, _, _ = code_range(space)
    luma = np.clip((np.arange(1 << space.depth) - black) / span, 0, 1)
    return _frozen(light_from_luminance(linear_from_srgb(luma)))


def light_from_luma(luma: Plane, space: ColorSpace) -> Floats:
    """Return L*, float32 (h, w), of a plane of luma codes (h, w)."""
    table = light_table(space)
    if luma.dtype == np.uint8:
        return np.asarray(cv2.LUT(luma, table).reshape(luma.shape), np.float32)
    return np.take(table, luma, mode="clip")


def light_from_gray(gray: NDArray[Any]) -> Floats:
    """Return L* of gray values of any shape: uint8 codes, or floats in 0..1."""
    if gray.dtype == np.uint8:
        return np.take(light_table(SRGB), gray)
    return np.asarray(light_from_luminance(linear_from_srgb(np.clip(gray, 0, 1))), np.float32)


def lab_from_rgb(rgb: NDArray[Any]) -> Floats:
    """Return L*, a, b as float32 (..., H, W, 3) of sRGB (..., H, W, 3): uint8 codes, or floats in 0..1."""
    if rgb.dtype == np.uint8:
        linear = _srgb_codes_to_linear()[rgb]
    else:
        linear = linear_from_srgb(np.clip(rgb, 0, 1)).astype(np.float32)
    x, y, z = np.moveaxis(linear @ _RGB_TO_RELATIVE_XYZ.T.astype(np.float32), -1, 0)
    fx, fy, fz = ((light_from_luminance(part) + 16) / 116 for part in (x, y, z))
    return np.asarray(np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1), np.float32)


def ab_from_rgb(rgb: NDArray[Any]) -> Floats:
    """Return a and b as float32 (..., 2, H, W), a network's layout, of sRGB (..., H, W, 3)."""
    return np.ascontiguousarray(np.moveaxis(lab_from_rgb(rgb)[..., 1:], -1, -3))


def rgb_from_lab(light: Floats, ab: Floats) -> Floats:
    """Return sRGB in 0..1, (h, w, 3), clipped to its gamut, of light (h, w) and a, b (2, h, w), all float32.

    OpenCV's routine: 18 microseconds for 48x88, and within 0.03 of an 8-bit code of the formulas inside the gamut.
    """
    return np.asarray(cv2.cvtColor(cv2.merge((light, ab[0], ab[1])), cv2.COLOR_Lab2RGB), np.float32)


def chroma_from_ab(light: Floats, ab: Floats, space: ColorSpace) -> tuple[Plane, Plane]:
    """Return the codes (cb, cr), each (h, w), of the colors (light (h, w), ab (2, h, w)), clipped to the sRGB gamut."""
    rgb = rgb_from_lab(light, ab)
    weights, offset = _rgb_to_codes(space)
    codes = np.rint(weights.T[1:] @ rgb.reshape(-1, 3).T + offset[1:, None])
    cb, cr = np.clip(codes, 0, (1 << space.depth) - 1).astype(space.dtype).reshape(2, *light.shape)
    return cb, cr


def luma_shift(light: Floats, ab: Floats, space: ColorSpace) -> Floats:
    """Return by how many luma codes, float32 (h, w), a color lies above the gray of the same L*.

    Added to the luma of a gray picture, it makes the colored one as light as the gray one was.
    """
    weights, _ = _rgb_to_codes(space)
    gray = rgb_from_lab(light, np.zeros_like(ab))
    more = (rgb_from_lab(light, ab) - gray).reshape(-1, 3) @ weights[:, 0]
    return np.asarray(more.reshape(light.shape), np.float32)


def rgb_from_ycbcr(y: Plane, cb: Plane, cr: Plane, space: ColorSpace) -> Floats:
    """Return sRGB in 0..1, float32 (..., H, W, 3), clipped, of three planes of one size."""
    weights, offset = _codes_to_rgb(space)
    codes = np.stack([y, cb, cr], axis=-1).astype(np.float32)
    return np.asarray(np.clip(codes @ weights + offset, 0, 1), np.float32)


def codes_from_rgb(space: ColorSpace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (3, 3) and offset (3) such that weights @ rgb + offset are the codes of Y', Cb, Cr."""
    red, blue = space.matrix.value
    luma = np.array([red, 1 - red - blue, blue])
    rows = [luma, (np.array([0, 0, 1]) - luma) / (2 * (1 - blue)), (np.array([1, 0, 0]) - luma) / (2 * (1 - red))]
    black, span, middle, width = code_range(space)
    return np.stack(rows) * np.array([[span], [width], [width]]), np.array([black, middle, middle])


def neutral(space: ColorSpace) -> int:
    """Return the chroma code that means no color."""
    return 1 << (space.depth - 1)


def _frozen(array: NDArray[Any]) -> Floats:
    table = np.ascontiguousarray(array, np.float32)
    table.setflags(write=False)
    return table


@cache
def _srgb_codes_to_linear() -> Floats:
    return _frozen(linear_from_srgb(np.arange(256) / 255))


@cache
def _rgb_to_codes(space: ColorSpace) -> tuple[Floats, Floats]:
    """Return weights and offset for row vectors: rgb @ weights + offset."""
    weights, offset = codes_from_rgb(space)
    return _frozen(weights.T), _frozen(offset)


@cache
def _codes_to_rgb(space: ColorSpace) -> tuple[Floats, Floats]:
    """Return weights and offset for row vectors: codes @ weights + offset."""
    weights, offset = codes_from_rgb(space)
    inverse = np.linalg.inv(weights)
    return _frozen(inverse.T), _frozen(-inverse @ offset)
