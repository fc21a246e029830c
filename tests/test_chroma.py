"""Planes smaller and larger: sizes, averages, views, depths."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcolor.chroma import brightened, enlarge, network_size, quarter, shrink
from streamcolor.frames import ColorSpace

sizes = st.integers(1, 300)
depths = st.sampled_from([8, 10, 12])


def noise(height, width, depth=8, seed=0):
    codes = np.random.default_rng(seed).integers(0, 1 << depth, (height, width))
    return codes.astype(ColorSpace(depth=depth).dtype)


@pytest.mark.parametrize(
    ("picture", "network"),
    [
        ((1280, 720), (352, 192)),
        ((7680, 4320), (352, 192)),
        ((640, 480), (288, 224)),
        ((256, 256), (256, 256)),
        ((1080, 1920), (192, 352)),
        ((1, 1), (32, 32)),
        ((33, 31), (64, 64)),
    ],
)
def test_the_network_sees_the_shape_of_the_picture(picture, network):
    assert network_size(*picture, pixels=256 * 256, stride=32) == network


@given(width=st.integers(1, 8192), height=st.integers(1, 8192), stride=st.sampled_from([8, 16, 32]))
def test_a_network_size_is_legal_for_every_picture(width, height, stride):
    w, h = network_size(width, height, pixels=256 * 256, stride=stride)
    assert w % stride == h % stride == 0
    assert min(w, h) >= stride
    assert w * h <= 1.4 * 256 * 256


@given(width=st.integers(240, 4096), height=st.integers(240, 4096))
def test_ordinary_pictures_are_hardly_distorted(width, height):
    w, h = network_size(width, height, pixels=256 * 256, stride=32)
    if 1 / 3 < width / height < 3:
        assert 0.85 < (w / h) / (width / height) < 1.18


def test_size_is_symmetric():
    for width, height in [(1280, 720), (720, 576), (2048, 858)]:
        there = network_size(width, height, pixels=65536, stride=32)
        assert network_size(height, width, pixels=65536, stride=32) == there[::-1]


@given(width=sizes, height=sizes, w=st.integers(1, 96), h=st.integers(1, 96), depth=depths)
@settings(max_examples=60, deadline=None)
def test_a_flat_plane_stays_flat_at_any_size(width, height, w, h, depth):
    space = ColorSpace(depth=depth)
    plane = np.full((height, width), (1 << depth) - 3, space.dtype)
    for small in (shrink(plane, w, h), enlarge(plane, w, h)):
        assert small.shape == (h, w)
        assert small.dtype == space.dtype
        assert np.all(small == (1 << depth) - 3)


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("size", [(720, 1280), (541, 963), (360, 200)])
def test_shrinking_averages_like_the_area_filter(size, depth):
    smooth = cv2.GaussianBlur(noise(*size, depth), (0, 0), 3)  # what a lens leaves of noise
    ours = shrink(smooth, 160, 96).astype(np.float64)
    theirs = cv2.resize(smooth, (160, 96), interpolation=cv2.INTER_AREA).astype(np.float64)
    assert np.abs(ours - theirs).mean() < 0.02 * smooth.std() + 2 ** (depth - 8) * 1.5


def test_fine_stripes_turn_gray_instead_of_into_coarse_stripes():
    stripes = np.zeros((720, 1280), np.uint8)
    stripes[:, ::2] = 200
    assert shrink(stripes, 352, 192).std() < 1
    assert cv2.resize(stripes, (352, 192), interpolation=cv2.INTER_LINEAR).std() > 20


def test_three_halvings_drift_by_less_than_half_a_code():
    plane = noise(1024, 1024)
    assert abs(shrink(plane, 128, 128).mean() - plane.mean()) < 0.5  # each rounds a half up: an eighth of a code


def test_a_view_into_a_wider_buffer_is_read_and_not_written():
    buffer = noise(90, 256)
    before = buffer.copy()
    view = buffer[:, 3:161]
    view.setflags(write=False)
    for make in (lambda plane: shrink(plane, 64, 32), lambda plane: enlarge(plane, 200, 100), quarter):
        assert np.array_equal(make(view), make(np.ascontiguousarray(view)))
    assert np.array_equal(buffer, before)


def test_a_plane_of_the_right_size_is_not_copied():
    plane = noise(32, 64)
    assert shrink(plane, 64, 32) is plane


def test_quarter_has_the_size_of_a_networks_output():
    plane = noise(64, 96)
    assert quarter(plane).shape == (16, 24)
    assert abs(quarter(plane).astype(float) - plane.reshape(16, 4, 24, 4).mean((1, 3))).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (2160, 3840), (1, 4096)])
def test_the_smallest_and_the_largest_pictures(size):
    height, width = size
    w, h = network_size(width, height, pixels=65536, stride=32)
    small = shrink(np.full(size, 77, np.uint8), w, h)
    assert small.shape == (h, w)
    chroma = enlarge(quarter(small), -(-width // 2), -(-height // 2))
    assert chroma.shape == (-(-height // 2), -(-width // 2))
    assert np.all(chroma == 77)


@given(depth=depths, shift=st.floats(-120, 120), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_brightening_adds_and_never_wraps(depth, shift, seed):
    space = ColorSpace(depth=depth)
    luma = noise(24, 40, depth, seed)
    moved = brightened(luma, np.full((6, 10), shift, np.float32), space)
    assert moved.dtype == luma.dtype
    expected = np.clip(luma.astype(int) + int(np.rint(np.float32(shift))), 0, (1 << depth) - 1)
    assert np.array_equal(moved, expected)


def test_brightening_leaves_the_decoders_luma_alone():
    luma = noise(24, 40)
    luma.setflags(write=False)
    before = luma.copy()
    assert brightened(luma, np.zeros((6, 10), np.float32), ColorSpace()) is not luma
    assert np.array_equal(luma, before)


def test_opencv_keeps_to_one_thread():
    assert cv2.getNumThreads() == 1
