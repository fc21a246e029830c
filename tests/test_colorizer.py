"""The colorizer against a network that is a few lines of numpy."""

from dataclasses import astuple, dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcolor.backends import Network, Prediction
from streamcolor.color import lab_from_rgb, light_table, neutral, rgb_from_ycbcr
from streamcolor.colorizer import Colorizer, Counts
from streamcolor.errors import BackendError, ConfigError
from streamcolor.frames import ColorSpace, Frame, Matrix

SPACES = [ColorSpace(matrix, full, depth) for matrix in Matrix for full in (False, True) for depth in (8, 10, 12)]


@dataclass
class FakeBackend:
    """Paints everything in one color, and remembers what it was asked."""

    color: tuple[float, float] = (20.0, 30.0)
    suits: float = 0.5
    name: str = "fake"
    batch: int = 4
    calls: list = field(default_factory=list)
    vividness: list = field(default_factory=list)

    @property
    def network(self):
        return Network("toy", Path("toy.onnx"), 32, 64 * 64, "fp32", self.suits)

    def predict(self, light_N1hw, *, vividness):
        self.calls.append(light_N1hw)
        self.vividness.append(vividness)
        count, _, height, width = light_N1hw.shape
        color = np.array(self.color, np.float32)[None, :, None, None]
        ab = np.broadcast_to(color, (count, 2, height // 4, width // 4)).copy()
        return Prediction(ab, np.ones((count, 1, height // 4, width // 4), np.float32))

    def close(self):
        pass

    @property
    def pictures(self):
        return sum(len(call) for call in self.calls)


def gray(pts=0, *, stream="a", size=(72, 128), space=None, level=None, seed=None, chroma_size=None):
    """A frame without color: flat at level (0..1), or noise of a seed."""
    space = space or ColorSpace()
    top = 1 << space.depth
    if seed is None:
        luma = np.full(size, (0.5 if level is None else level) * (top - 1), space.dtype)
    else:
        luma = np.random.default_rng(seed).integers(0, top, size).astype(space.dtype)
    half = chroma_size or tuple(-(-side // 2) for side in size)
    plane = np.full(half, neutral(space), space.dtype)
    plane.setflags(write=False)
    return Frame(stream, pts, luma, (plane, plane), space, captured=1.5)


def colorful(pts=0, *, stream="a", seed=0):
    """A frame that is in color already."""
    rng = np.random.default_rng(seed)
    luma = cv2.resize(rng.integers(40, 200, (9, 16)).astype(np.uint8), (128, 72))
    cb, cr = (cv2.resize(rng.integers(80, 180, (9, 16)).astype(np.uint8), (64, 36)) for _ in range(2))
    return Frame(stream, pts, luma, (cb, cr), ColorSpace(), captured=0.0)


def lab(frame):
    """L*, a, b (H, W, 3) of a frame, its chroma brought to full size."""
    height, width = frame.luma.shape
    chroma = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST) for plane in frame.chroma)
    return lab_from_rgb(rgb_from_ycbcr(frame.luma, *chroma, frame.space))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_color_that_was_predicted_is_the_color_that_comes_out(space):
    (colored,) = Colorizer(FakeBackend())([gray(space=space)])
    assert np.abs(lab(colored)[..., 1:] - (20, 30)).max() < 3  # keeping luma moves L*, and a,b with it, a little
    (exact,) = Colorizer(FakeBackend(), lightness="exact")([gray(space=space)])
    assert np.abs(lab(exact)[..., 1:] - (20, 30)).max() < (1.2 if space.depth == 8 else 0.4)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=3),
    order=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=14),
    space=st.sampled_from(SPACES),
    every=st.sampled_from(["auto", 1, 3]),
    batch=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_number_order_pts_and_luma_are_kept(sizes, order, space, every, batch):
    colorizer = Colorizer(FakeBackend(), every=every)
    spaces = [space, ColorSpace(), ColorSpace(Matrix.BT601, full_range=True, depth=10)]
    frames = []
    for pts, (stream, seed, subsampled) in enumerate(order):
        size = sizes[stream % len(sizes)]
        half = None if subsampled else size
        frames.append(gray(pts, stream=str(stream), size=size, space=spaces[stream], seed=seed, chroma_size=half))
    before = [frame.luma.copy() for frame in frames]
    out = [frame for start in range(0, len(frames), batch) for frame in colorizer(frames[start : start + batch])]
    assert [(one.stream, one.pts, one.captured) for one in out] == [(one.stream, one.pts, 1.5) for one in frames]
    for one, source, luma in zip(out, frames, before, strict=True):
        assert one.luma is source.luma
        assert np.array_equal(one.luma, luma)
        assert one.chroma[0].shape == source.chroma[0].shape
        assert one.chroma[0].dtype == source.chroma[0].dtype
        assert one.space == source.space
    assert (colorizer.counts.frames, colorizer.counts.kept) == (len(frames), 0)


def test_nothing_in_nothing_out():
    backend = FakeBackend()
    assert Colorizer(backend)([]) == []
    assert not backend.calls


@pytest.mark.parametrize("space", [ColorSpace(), ColorSpace(depth=10)], ids=str)
def test_the_network_sees_lightness_and_nothing_else(space):
    backend = FakeBackend()
    frame = gray(space=space, level=0.7, size=(72, 128))
    Colorizer(backend)([frame])
    (light,) = backend.calls
    assert light.shape == (1, 1, 64, 96)
    assert light.dtype == np.float32
    assert np.allclose(light, light_table(space)[frame.luma[0, 0]], atol=0.01)


def test_streams_of_one_size_share_a_call_and_others_get_their_own():
    backend = FakeBackend()
    wide, tall = (72, 128), (128, 72)
    frames = [gray(stream=name, size=size, seed=0) for name, size in [("a", wide), ("b", tall), ("c", wide)]]
    Colorizer(backend)(frames)
    assert sorted(len(call) for call in backend.calls) == [1, 2]


def test_each_picture_of_a_batch_gets_its_own_answer():
    class Echo(FakeBackend):
        def predict(self, light_N1hw, *, vividness):
            prediction = super().predict(light_N1hw, vividness=vividness)
            prediction.ab_N2hw[:] = light_N1hw.mean((1, 2, 3), keepdims=True) - 50
            return prediction

    frames = [gray(stream=str(number), level=level) for number, level in enumerate([0.2, 0.8, 0.5, 0.2])]
    together = Colorizer(Echo())(frames)
    for frame, colored in zip(frames, together, strict=True):
        (alone,) = Colorizer(Echo())([frame])
        assert np.array_equal(colored.chroma, alone.chroma)


def test_a_still_picture_is_predicted_once_and_shares_its_planes():
    backend = FakeBackend()
    colorizer = Colorizer(backend)
    first = colorizer([gray(0, seed=1), gray(1, seed=1)])
    second = colorizer([gray(2, seed=1)])
    assert backend.pictures == 1
    assert first[0].chroma is first[1].chroma is second[0].chroma
    assert colorizer.counts.reused == 2


def test_a_changed_picture_is_predicted_again():
    backend = FakeBackend()
    Colorizer(backend)([gray(0, level=0.4), gray(1, level=0.48), gray(2, level=0.48)])
    assert backend.pictures == 2


def test_a_little_motion_is_predicted_on_every_third_frame():
    backend = FakeBackend()
    Colorizer(backend)([gray(pts, level=0.3 + 4 * pts / 255) for pts in range(9)])  # four codes a frame
    assert backend.pictures == 3


def test_slow_drift_is_not_overlooked():
    backend = FakeBackend()
    Colorizer(backend)([gray(pts, level=0.3 + pts / 255) for pts in range(30)])  # a code a frame
    assert backend.pictures == 5  # every seventh frame: seven codes are too many by then


def test_every_one_predicts_each_frame():
    backend = FakeBackend()
    colorizer = Colorizer(backend, every=1)
    colorizer([gray(pts, seed=1) for pts in range(5)])
    assert backend.pictures == 5
    assert colorizer.counts.reused == 0


def test_every_third_is_counted_from_the_start_of_a_scene():
    backend = FakeBackend()
    colorizer = Colorizer(backend, every=3)
    scenes = [gray(pts, level=0.3) for pts in range(4)] + [gray(pts, level=0.9) for pts in range(4, 8)]
    out = colorizer(scenes)
    assert backend.pictures == 4  # frames 0, 3, 4 (the cut) and 7
    fresh = [number + 1 for number, (one, other) in enumerate(pairwise(out)) if one.chroma is not other.chroma]
    assert fresh == [3, 4, 7]
    assert colorizer.counts.cuts == 1


def test_streams_do_not_share_what_they_remember():
    backend = FakeBackend()
    Colorizer(backend)([gray(stream="a", seed=1), gray(stream="b", seed=1), gray(1, stream="a", seed=1)])
    assert backend.pictures == 2


@pytest.mark.parametrize("order", ["ccccccccgggggggg", "ggggggggccgggggg", "cg" * 12])
def test_pictures_that_have_nothing_to_do_with_one_another_are_judged_alone(order):
    """As a film's they would be taken for a scene in color, or without, because those before them were."""
    frames = []
    for pts, kind in enumerate(order):
        frame = gray(pts, seed=pts % 2)  # the gray of one is that of the one before last, and still not its color
        if kind == "c":
            cb, cr = np.random.default_rng(pts).integers(60, 200, (2, 36, 64), np.uint8)
            frame = replace(frame, chroma=(cb, cr))
        frames.append(frame)
    backend = FakeBackend()
    colorizer = Colorizer(backend, stills=True)
    for frame, kind, colored in zip(frames, order, colorizer(frames), strict=True):
        assert (colored is frame) == (kind == "c"), frame.pts
    assert backend.pictures == order.count("g"), "none takes the colors of another"


def test_a_forgotten_stream_starts_anew():
    backend = FakeBackend()
    colorizer = Colorizer(backend)
    colorizer([gray(seed=1)])
    colorizer.forget("a")
    colorizer.forget("never seen")
    colorizer([gray(seed=1)])
    assert backend.pictures == 2
    assert not Colorizer(backend)._streams


def test_a_stream_that_changes_size_or_space_starts_anew():
    backend = FakeBackend()
    colorizer = Colorizer(backend)
    for frame in [gray(seed=1), gray(size=(40, 60), seed=1), gray(size=(40, 60), space=ColorSpace(depth=10), seed=1)]:
        (colored,) = colorizer([frame])
        assert colored.chroma[0].shape == frame.chroma[0].shape
    assert backend.pictures == 3


def test_frames_in_color_pass_untouched():
    backend = FakeBackend()
    colorizer = Colorizer(backend)
    frames = [colorful(pts) for pts in range(3)]
    out = colorizer(frames)
    assert all(one is source for one, source in zip(out, frames, strict=True))
    assert not backend.calls
    assert (colorizer.counts.kept, colorizer.counts.frames) == (3, 3)


def test_frames_in_color_are_replaced_if_asked():
    backend = FakeBackend()
    colorizer = Colorizer(backend, when_colored="replace")
    (out,) = colorizer([colorful()])
    assert np.abs(np.median(lab(out)[..., 1:], (0, 1)) - (20, 30)).max() < 4
    assert colorizer.counts.kept == 0


def test_a_film_of_both_kinds_is_judged_scene_by_scene():
    colorizer = Colorizer(FakeBackend())
    frames = [colorful(0), gray(1, level=0.95), gray(2, level=0.95), colorful(3, seed=5)]
    frames[1:3] = [replace(one, chroma=(one.chroma[0], one.chroma[1].copy())) for one in frames[1:3]]
    out = colorizer(frames)
    assert [one is source for one, source in zip(out, frames, strict=True)] == [True, False, False, True]
    assert colorizer.counts == Counts(frames=4, kept=2, reused=1, cuts=2)
    assert {type(count) for count in astuple(colorizer.counts)} == {int}  # a report must be able to print them


def test_saturation_scales_the_color():
    grays, weak, full = (lab(Colorizer(FakeBackend(), saturation=s)([gray()])[0]).mean((0, 1)) for s in (0, 0.5, 1))
    assert np.abs(grays[1:]).max() < 0.5
    assert np.hypot(*weak[1:]) == pytest.approx(np.hypot(*full[1:]) / 2, rel=0.15)


def test_vividness_is_the_users_or_the_networks():
    for given_, expected in [(0.8, 0.8), (0, 0), (None, 0.2)]:
        backend = FakeBackend(suits=0.2)
        Colorizer(backend, vividness=given_)([gray()])
        assert backend.vividness == [expected]


@pytest.mark.parametrize("space", [ColorSpace(), ColorSpace(Matrix.BT601, full_range=True, depth=10)], ids=str)
def test_exact_lightness_keeps_the_lightness_and_leaves_the_source_alone(space):
    frame = gray(space=space, level=0.45)
    before = frame.luma.copy()
    strong = FakeBackend(color=(60.0, 45.0))
    (plain,) = Colorizer(strong)([frame])
    (exact,) = Colorizer(strong, lightness="exact")([frame])
    target = lab(frame)[..., 0].mean()
    assert abs(lab(exact)[..., 0].mean() - target) < 0.4
    assert abs(lab(plain)[..., 0].mean() - target) > 1
    assert np.array_equal(frame.luma, before)


def test_exact_lightness_follows_each_reused_frame():
    colorizer = Colorizer(FakeBackend(color=(60.0, 45.0)), lightness="exact")
    one, other = colorizer([gray(0, level=0.450), gray(1, level=0.454)])
    assert one.chroma is other.chroma
    assert np.all(other.luma == one.luma + 1)


def test_true_colors_survive_the_way_and_stay_in_their_place():
    class Oracle(FakeBackend):
        def predict(self, light_N1hw, *, vividness):
            _, _, height, width = light_N1hw.shape
            small = cv2.resize(lab(source)[..., 1:], (width // 4, height // 4), interpolation=cv2.INTER_AREA)
            prediction = super().predict(light_N1hw, vividness=vividness)
            prediction.ab_N2hw[0] = np.moveaxis(small, -1, 0)
            return prediction

    source = colorful(seed=3)
    smooth = [cv2.GaussianBlur(plane, (0, 0), 4) for plane in source.chroma]
    source = replace(source, chroma=tuple((plane // 3 + 85).astype(np.uint8) for plane in smooth))  # well inside sRGB
    (colored,) = Colorizer(Oracle(), when_colored="replace")([source])

    def error(down, across):
        pairs = zip(colored.chroma, source.chroma, strict=True)
        moved = [np.abs(np.roll(ours, (down, across), (0, 1)).astype(int) - theirs) for ours, theirs in pairs]
        return np.mean([plane[6:-6, 6:-6].mean() for plane in moved])

    assert error(0, 0) < 1
    assert error(0, 0) < min(error(1, 0), error(-1, 0), error(0, 1), error(0, -1))


def test_colors_that_are_no_numbers_are_an_error():
    with pytest.raises(BackendError, match=r"toy\.onnx: it predicts colors that are no numbers"):
        Colorizer(FakeBackend(color=(np.nan, 0.0)))([gray()])


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match=r"when_colored is 'drop': .*; every is 0"):
        Colorizer(FakeBackend(), when_colored="drop", every=0)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 300), (300, 1), (2160, 3840)])
def test_the_smallest_and_the_largest_pictures_are_colored(size):
    (colored,) = Colorizer(FakeBackend())([gray(size=size)])
    cb, cr = (plane[0, 0] for plane in colored.chroma)
    assert cb < 128 < cr
