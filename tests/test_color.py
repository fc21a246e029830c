"""Color arithmetic against its definitions, other libraries, and itself backwards."""

import cv2
import numpy as np
import pytest
from colors import ycbcr_from_rgb
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import lab2rgb, rgb2lab

from streamcolor import color
from streamcolor.frames import ColorSpace, Matrix

SPACES = [ColorSpace(matrix, full, depth) for matrix in Matrix for full in (False, True) for depth in (8, 10, 12)]
spaces = st.sampled_from(SPACES)


def pictures(seed, height=32, width=48):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_black_is_dark_white_is_light_and_codes_outside_are_clipped(space):
    table = color.light_table(space)
    black, span, _, _ = color.code_range(space)
    assert table.shape == (1 << space.depth,)
    assert table.dtype == np.float32
    assert table[int(black)] == 0
    assert table[int(black + span)] == pytest.approx(100, abs=1e-4)
    assert np.all(np.diff(table) >= 0)
    assert np.all(table[: int(black)] == 0)
    assert np.allclose(table[int(black + span) :], 100, atol=1e-4)


def test_the_table_is_shared_and_cannot_be_written():
    table = color.light_table(ColorSpace())
    assert color.light_table(ColorSpace()) is table
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_light_of_a_code_is_the_lightness_of_that_gray(space):
    codes = np.arange(1 << space.depth, dtype=space.dtype)[None]
    gray = np.full_like(codes, color.neutral(space))
    rgb = color.rgb_from_ycbcr(codes, gray, gray, space)
    assert np.abs(rgb2lab(rgb.astype(np.float64))[..., 0] - color.light_table(space)[codes]).max() < 0.01


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_the_light_of_a_plane_is_looked_up_code_by_code(depth):
    space = ColorSpace(depth=depth)
    plane = np.random.default_rng(0).integers(0, 1 << depth, (9, 30)).astype(space.dtype)[:, 3:20]
    light = color.light_from_luma(plane, space)
    assert light.dtype == np.float32
    assert np.array_equal(light, color.light_table(space)[plane])


def test_middle_gray_has_the_published_lightness():
    # sRGB 119/255 is the familiar "L* = 50" gray (50.034); linear 0.18 is L* 49.496.
    assert color.light_from_gray(np.uint8([[119]]))[0, 0] == pytest.approx(50.034, abs=0.001)
    assert color.light_from_luminance(np.array(0.18)) == pytest.approx(49.496, abs=0.001)


def test_gray_floats_and_gray_codes_mean_the_same():
    codes = np.arange(256, dtype=np.uint8)
    floats = color.light_from_gray(codes.astype(np.float64) / 255)
    assert floats.dtype == np.float32
    assert np.abs(color.light_from_gray(codes) - floats).max() < 1e-4


def test_published_lab_of_the_primaries():
    rgb = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]])
    published = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0]]
    assert np.abs(color.lab_from_rgb(rgb)[0] - published).max() < 0.02


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_lab_agrees_with_scikit_image_and_opencv(seed):
    rgb = pictures(seed)
    lab = color.lab_from_rgb(rgb)
    assert np.abs(lab - rgb2lab(rgb.astype(np.float64))).max() < 0.01
    assert (
        np.abs(lab - cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)).max() < 1.5
    )  # OpenCV reads a coarse table in this direction


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_rgb_from_lab_is_within_a_twentieth_of_a_code(seed):
    rgb = pictures(seed)
    lab = color.lab_from_rgb(rgb)
    back = color.rgb_from_lab(np.ascontiguousarray(lab[..., 0]), color.ab_from_rgb(rgb))
    assert np.abs(back - rgb).max() * 255 < 0.05
    assert np.abs(lab2rgb(lab.astype(np.float64)) - back).max() * 255 < 0.15  # its white point is rounded


def test_integers_and_floats_give_the_same_color():
    codes = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    floats = codes.astype(np.float64) / 255
    assert np.abs(color.ab_from_rgb(codes) - color.ab_from_rgb(floats)).max() < 1e-3
    for space in (ColorSpace(), ColorSpace(Matrix.BT601, full_range=True)):
        one, other = ycbcr_from_rgb(codes, space), ycbcr_from_rgb(floats, space)
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(one, other, strict=True))


def test_a_batch_has_the_layout_of_a_network():
    assert color.ab_from_rgb(np.zeros((3, 4, 5, 3), np.uint8)).shape == (3, 2, 4, 5)
    assert color.ab_from_rgb(np.zeros((4, 5, 3), np.uint8)).shape == (2, 4, 5)
    assert color.ab_from_rgb(np.zeros((4, 5, 3), np.uint8)).flags.c_contiguous


@pytest.mark.parametrize(
    ("space", "red"),
    [  # H.273 by hand: E'R = 1, the others 0
        (ColorSpace(Matrix.BT601), (81, 90, 240)),
        (ColorSpace(Matrix.BT709), (63, 102, 240)),
        (ColorSpace(Matrix.BT2020), (74, 97, 240)),
        (ColorSpace(Matrix.BT601, full_range=True), (76, 85, 255)),
        (ColorSpace(Matrix.BT709, depth=10), (250, 409, 960)),
    ],
    ids=str,
)
def test_pure_red_has_the_codes_of_the_standard(space, red):
    planes = ycbcr_from_rgb(np.array([[[1.0, 0, 0]]]), space)
    assert tuple(int(plane[0, 0]) for plane in planes) == red
    assert all(plane.dtype == space.dtype for plane in planes)


def test_jpeg_codes_are_those_of_opencv():
    rgb = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    theirs = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    ours = np.stack(ycbcr_from_rgb(rgb, ColorSpace(Matrix.BT601, full_range=True)), axis=-1)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@given(space=spaces, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_codes_survive_the_way_through_lab_within_one_step(space, seed):
    codes = ycbcr_from_rgb(pictures(seed), space)
    lab = color.lab_from_rgb(color.rgb_from_ycbcr(*codes, space))
    light, ab = np.ascontiguousarray(lab[..., 0]), np.ascontiguousarray(np.moveaxis(lab[..., 1:], -1, 0))
    cb, cr = color.chroma_from_ab(light, ab, space)
    step = 1 if space.depth == 8 else 2 if space.depth == 10 else 4  # a tenth of an 8-bit code is float32's share
    assert np.abs(cb.astype(int) - codes[1]).max() <= step
    assert np.abs(cr.astype(int) - codes[2]).max() <= step
    luma = ycbcr_from_rgb(color.rgb_from_lab(light, ab), space)[0]
    assert np.abs(luma.astype(int) - codes[0]).max() <= step


@given(space=spaces, seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0, 30, 300]))
@settings(max_examples=60, deadline=None)
def test_any_prediction_gives_legal_codes(space, seed, spread):
    rng = np.random.default_rng(seed)
    light = rng.uniform(0, 100, (7, 5)).astype(np.float32)
    ab = (rng.standard_normal((2, 7, 5)) * spread).astype(np.float32)
    black, _, middle, width = color.code_range(space)
    for plane in color.chroma_from_ab(light, ab, space):
        assert plane.shape == light.shape
        assert plane.dtype == space.dtype
        assert plane.flags.c_contiguous
        assert plane.min() >= max(black, middle - width / 2) - 1
        assert plane.max() <= middle + width / 2 + 1
        if spread == 0:
            assert np.all(plane == color.neutral(space))


def test_one_pixel_is_a_picture():
    cb, cr = color.chroma_from_ab(np.float32([[50]]), np.float32([[[20]], [[30]]]), ColorSpace())
    assert cb.shape == cr.shape == (1, 1)
    assert cb[0, 0] < 128 < cr[0, 0]


@pytest.mark.parametrize("space", [ColorSpace(), ColorSpace(Matrix.BT601, full_range=True, depth=10)], ids=str)
def test_the_luma_shift_keeps_the_lightness(space):
    gray = np.full((4, 4), 0.45 * (1 << space.depth), space.dtype)
    light = color.light_table(space)[gray]
    ab = np.stack([np.full((4, 4), 60, np.float32), np.full((4, 4), 45, np.float32)])
    cb, cr = color.chroma_from_ab(light, ab, space)

    def error(luma):
        lab = color.lab_from_rgb(color.rgb_from_ycbcr(luma.astype(space.dtype), cb, cr, space))
        return np.abs(lab[..., 0] - light).max()

    corrected = np.rint(gray + color.luma_shift(light, ab, space))
    assert error(corrected) < 0.4 < error(gray)
    assert np.abs(color.luma_shift(light, np.zeros_like(ab), space)).max() < 0.01
