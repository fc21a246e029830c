"""Cuts, changes and color, judged on made-up scenes and on re-encoded ones."""

import io
import itertools

import av
import cv2
import numpy as np
import pytest
from colors import ycbcr_from_rgb
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcolor import gate
from streamcolor.chroma import shrink
from streamcolor.color import rgb_from_lab
from streamcolor.frames import ColorSpace, Frame, Matrix
from streamcolor.gate import (
    HELD,
    LOOKS,
    SETTLED,
    TO_COLOR,
    TO_GRAY,
    ColorJudge,
    Cuts,
    barely_differs,
    spread_and_tint,
    tiny_luma,
)

SPACE = ColorSpace(Matrix.BT601)
SIZE = (192, 320)


def scene(seed, *, chroma=25.0, size=SIZE):
    """A picture of soft blobs as sRGB 0..1 (H, W, 3); chroma is the deviation of a and b, 0 is gray."""
    rng = np.random.default_rng(seed)
    height, width = size
    layers = [cv2.resize(rng.standard_normal((6, 9), np.float32), (width, height)) for _ in range(3)]
    light = np.clip(55 + 25 * layers[0], 5, 95).astype(np.float32)
    return rgb_from_lab(light, np.stack(layers[1:]).astype(np.float32) * np.float32(chroma))


def frame(rgb, space=SPACE):
    y, cb, cr = ycbcr_from_rgb(rgb, space)
    return Frame("a", 0, y, (cb[::2, ::2].copy(), cr[::2, ::2].copy()), space, captured=0.0)


def tiny(one):
    return tiny_luma(one.luma, one.space)


def spread(rgb, space=SPACE):
    one = frame(rgb, space)
    return spread_and_tint(tiny(one), one)[0]


def encoded(pictures, crf):
    """The same pictures after x264 at 8 bits 4:2:0, as frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "ultrafast"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for rgb in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray((rgb * 255).astype(np.uint8), format="rgb24")))
        file.mux(stream.encode())
    buffer.seek(0)
    frames = []
    with av.open(buffer) as file:
        for picture in file.decode(video=0):
            y, cb, cr = (np.array(plane).reshape(-1, plane.line_size)[:, : plane.width] for plane in picture.planes)
            frames.append(Frame("a", 0, y[: SIZE[0]], (cb, cr), SPACE, captured=0.0))
    return frames


def sepia(rgb):
    return np.clip(rgb[..., :1] * np.array([1.35, 1.2, 0.94]), 0, 1)


def split_tone(rgb):
    gray = rgb[..., :1]
    return np.clip(gray + (1 - gray) * np.array([-0.04, 0, 0.1]) + gray * np.array([0.1, 0.05, -0.12]), 0, 1)


def greenish(rgb):
    return rgb[..., :1] * np.array([0.85, 1.0, 0.9])


@pytest.mark.parametrize("toning", [sepia, split_tone, greenish])
@pytest.mark.parametrize("crf", [18, 30])
def test_toned_gray_film_is_not_in_color_even_when_strongly_compressed(toning, crf):
    judge = ColorJudge()
    for one in encoded([toning(scene(seed, chroma=0)) for seed in range(3)], crf):
        assert spread_and_tint(tiny(one), one)[0] < 2.5
        assert not judge(tiny(one), one, cut=True)


@pytest.mark.parametrize("crf", [18, 34])
def test_color_film_is_in_color_even_when_strongly_compressed(crf):
    for one in encoded([scene(seed, chroma=8) for seed in range(3)], crf):
        assert ColorJudge()(tiny(one), one, cut=False)


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("matrix", Matrix)
def test_the_spread_does_not_depend_on_depth_or_matrix(depth, matrix):
    assert spread(scene(1), ColorSpace(matrix, depth=depth)) == pytest.approx(spread(scene(1)), rel=0.25)


def test_gray_has_no_spread_and_no_tint():
    one = frame(scene(0, chroma=0))
    assert spread_and_tint(tiny(one), one) == (0, 0)


def test_sources_without_chroma_are_not_measured(monkeypatch):
    one = frame(scene(0))
    gray = Frame("a", 0, one.luma, (one.chroma[0], one.chroma[0]), SPACE, captured=0.0)
    monkeypatch.setattr("streamcolor.gate.spread_and_tint", None)
    assert not ColorJudge()(tiny(gray), gray, cut=True)


def judged(judge, rgbs, *, cut_at=()):
    return [judge(tiny(one), one, cut=number in cut_at) for number, one in enumerate(map(frame, rgbs))]


def test_a_film_in_color_stays_so_through_a_fade_to_black_and_back():
    levels = [1, 0.5, 0.25, 0.1, 0.05, 0, 0, 0.05, 0.1, 0.25, 0.5, 1]
    answers = judged(ColorJudge(), [scene(2) * np.float32(level) for level in levels])
    assert all(answers)


def test_a_gray_film_stays_so_through_a_fade_to_black_and_back():
    levels = [1, 0.5, 0.1, 0, 0, 0.1, 0.5, 1]
    assert not any(judged(ColorJudge(), [sepia(scene(2, chroma=0)) * level for level in levels]))


def test_a_scene_that_fades_in_is_recognized_once_its_colors_come():
    levels = [0, 0.02, 0.05, 0.1, 0.15, 0.3, 0.6, 1, 1, 1, 1]
    answers = judged(ColorJudge(), [scene(3, chroma=10) * np.float32(level) for level in levels])
    assert not answers[0]
    assert answers[-1]
    assert answers == sorted(answers)  # it changed its mind once


def test_one_damaged_frame_does_not_turn_a_gray_scene_into_a_color_one():
    gray, damaged = scene(4, chroma=0), scene(5, chroma=40)
    assert not any(judged(ColorJudge(), [gray, gray, damaged, gray, gray, damaged, damaged, gray]))


def test_a_dissolve_from_color_to_gray_is_noticed_without_a_cut():
    answers = judged(ColorJudge(), [scene(6)] * 3 + [scene(6, chroma=0)] * (TO_GRAY + 2))
    assert answers == [True] * (2 + TO_GRAY) + [False] * 3


def test_a_dissolve_from_gray_to_color_is_noticed_without_a_cut():
    answers = judged(ColorJudge(), [scene(6, chroma=0)] * 3 + [scene(6)] * (TO_COLOR + 2))
    assert answers == [False] * (2 + TO_COLOR) + [True] * 3


def test_a_cut_is_judged_at_once():
    answers = judged(ColorJudge(), [scene(7)] * 2 + [scene(8, chroma=0)] * 2 + [scene(9)] * 2, cut_at={2, 4})
    assert answers == [True, True, False, False, True, True]


def test_blue_sky_in_a_color_film_is_color_and_a_blue_print_is_not():
    blue = np.clip(scene(10, chroma=0) * 0.4 + np.array([0.2, 0.35, 0.55]), 0, 1)
    assert judged(ColorJudge(), [scene(7), blue, blue], cut_at={1}) == [True, True, True]
    assert judged(ColorJudge(), [blue, blue, blue]) == [False] * 3


def test_a_settled_judgment_is_checked_now_and_then_and_still_changes_in_time():
    answers = judged(ColorJudge(), [scene(6, chroma=0)] * (SETTLED + 9) + [scene(6)] * (LOOKS + TO_COLOR))
    assert answers[: SETTLED + 9] == [False] * (SETTLED + 9)
    assert answers[-1]


def test_a_settled_judgment_is_measured_on_every_fourth_frame_only(monkeypatch):
    one, measured = frame(scene(6)), []
    judge = ColorJudge()
    monkeypatch.setattr("streamcolor.gate.spread_and_tint", lambda *_: measured.append(1) or (9.0, 0.0))
    for _ in range(SETTLED + 40):
        judge(tiny(one), one, cut=False)
    assert len(measured) == 1 + SETTLED + 39 // LOOKS


@given(st.lists(st.floats(0, 12), min_size=1, max_size=80))
@settings(max_examples=60, deadline=None)
def test_a_judgment_never_flickers(chromas):
    judge = ColorJudge()
    answers = []
    for value in chromas:
        judge._judge(value, tinted=False, gray=1.8)
        answers.append(judge.colored)
    changes = [number for number in range(1, len(answers)) if answers[number] != answers[number - 1]]
    for first, second in itertools.pairwise(changes):
        assert second - first >= TO_COLOR
        if answers[first]:
            assert second - first >= TO_GRAY


def test_a_cut_is_found_and_motion_is_not_one():
    cuts = Cuts()
    pan = [np.roll(scene(11, chroma=0), 3 * step, axis=1) for step in range(12)]
    other = [np.roll(scene(12, chroma=0), 3 * step, axis=1) for step in range(12)]
    answers = [cuts(tiny(frame(rgb))) for rgb in pan + other]
    assert answers == [False] * 12 + [True] + [False] * 11


def test_a_restless_stream_is_not_all_cuts():
    cuts = Cuts()
    answers = [cuts(tiny(frame(np.roll(scene(13, chroma=0), 60 * step, axis=1)))) for step in range(12)]
    assert sum(answers[:3]) <= 2  # until it knows what is usual here
    assert not any(answers[3:])


def test_light_after_black_is_a_cut():
    cuts = Cuts()
    black = np.zeros((*SIZE, 3), np.float32)
    assert [cuts(tiny(frame(rgb))) for rgb in [black] * 3 + [scene(14)]] == [False] * 3 + [True]


@pytest.mark.parametrize("depth", [8, 10])
def test_noise_barely_differs_and_a_moved_object_does(depth):
    space = ColorSpace(depth=depth)
    step = 1 << (depth - 8)
    rng = np.random.default_rng(0)
    still = frame(scene(15, chroma=0), space).luma
    noisy = (still + rng.integers(-1 * step, 2 * step, still.shape)).astype(space.dtype)
    assert barely_differs(still, still, depth, age=len(HELD))
    assert barely_differs(still, noisy, depth, age=len(HELD))
    moved = still.copy()
    moved[40:88, 60:108] = 230 * step
    assert not barely_differs(still, moved, depth, age=len(HELD))
    assert barely_differs(still, moved, depth, age=len(HELD)) == barely_differs(moved, still, depth, age=len(HELD))


@pytest.mark.parametrize(("brighter", "frames"), [(3, 99), (5, 7), (7, 4), (11, 2), (15, 1), (17, 0)])
def test_the_later_a_frame_the_less_its_light_may_differ(brighter, frames):
    still = frame(scene(16, chroma=0)).luma
    other = (still + brighter).astype(np.uint8)
    assert [barely_differs(still, other, 8, age=age) for age in range(1, 100)] == [True] * frames + [False] * (
        99 - frames
    )


def test_somebody_small_in_a_street_at_rest_is_soon_seen():
    still = np.full((128, 256), 120, np.uint8)
    walker = still.copy()
    walker[40:72, 100:116] = 60  # 1.6 % of the picture
    seen = [age for age in range(1, 20) if not barely_differs(still, walker, 8, age=age)]
    assert seen == list(range(len(HELD), 20))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (32, 32)])
def test_the_smallest_pictures_have_no_scene_but_do_no_harm(size):
    one = frame(np.full((*size, 3), 0.5, np.float32))
    small = np.full((32, 32), 128, np.uint8)
    assert not Cuts()(tiny_luma(small, SPACE))
    assert not ColorJudge()(tiny_luma(small, SPACE), one, cut=False)
    assert barely_differs(small, small, 8, age=len(HELD))


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_the_tiny_picture_is_luma_above_black_in_codes_of_8_bits(depth):
    space = ColorSpace(depth=depth)
    small = np.random.default_rng(0).integers(0, 1 << depth, (64, 96)).astype(space.dtype)
    tiny = shrink(small, 12, 8).astype(np.float32)
    expected = (tiny - np.float32(16 << (depth - 8))) / (1 << (depth - 8))
    assert np.array_equal(tiny_luma(small, space), expected)


@given(st.lists(st.floats(-200, 200), min_size=1, max_size=50))
def test_our_median_is_numpys(values):
    assert gate._median(np.array(values)) == np.median(values)


def test_contrast_is_remembered_and_not_computed_again():
    cuts, looks = Cuts(), np.random.default_rng(0).uniform(0, 200, (6, 8, 12)).astype(np.float32)
    for number, tiny in enumerate(looks):
        cuts(tiny)
        assert cuts._contrast == tiny.std(), number
