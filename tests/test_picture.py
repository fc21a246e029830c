"""Arrays in, arrays out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import CARD, write_network
from skimage import data

from streamcolor.backends import open_backend
from streamcolor.color import lab_from_rgb
from streamcolor.difference import ciede2000
from streamcolor.errors import ConfigError
from streamcolor.picture import load_model


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("toy") / "toy.onnx", card={**CARD, "vividness": "0.25"})


@pytest.fixture(scope="module")
def model(path):
    with load_model(path, threads=1) as opened:
        yield opened


def gray(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def smooth(height=96, width=128):
    return np.tile(np.linspace(60, 200, width).astype(np.uint8), (height, 1))


@given(height=st.integers(1, 150), width=st.integers(1, 150), channels=st.sampled_from([None, 3]))
@settings(max_examples=25, deadline=None)
def test_any_picture_comes_back_in_its_size_and_with_its_brightness(model, height, width, channels):
    picture = (
        gray(height, width) if channels is None else np.stack([gray(height, width, seed) for seed in range(3)], -1)
    )
    before = picture.copy()
    rgb = model.colorize(picture, saturation=0.2)
    assert rgb.shape == (height, width, 3)
    assert rgb.dtype == np.uint8
    assert np.array_equal(picture, before)


def test_luma_is_kept_where_the_colors_fit_into_srgb(model):
    rgb = model.colorize(smooth(), saturation=0.3).astype(float)
    assert np.abs(rgb @ [0.299, 0.587, 0.114] - smooth()).max() <= 1.5


def test_exact_lightness_keeps_lightness_instead(model):
    light = lab_from_rgb(np.repeat(smooth()[..., None], 3, axis=2))[..., 0]

    def error(lightness):
        return np.abs(lab_from_rgb(model.colorize(smooth(), lightness=lightness, vividness=0.6))[..., 0] - light).mean()

    assert error("exact") < error("luma")


def test_a_picture_gets_color(model):
    rgb = model.colorize(smooth(), vividness=1).astype(int)
    assert (rgb.max(2) - rgb.min(2)).mean() > 10


def test_without_saturation_a_picture_stays_gray(model):
    assert np.array_equal(model.colorize(smooth(), saturation=0), np.repeat(smooth()[..., None], 3, axis=2))


def test_the_colors_that_a_picture_had_make_no_difference(model):
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    same = np.full((64, 64), 60, np.uint8)  # its luma: 0.299 * 200
    assert np.array_equal(model.colorize(red), model.colorize(same))


@pytest.mark.parametrize(
    "wrong", [{"lightness": "L"}, {"saturation": -1.0}, {"vividness": 7.0}], ids=lambda wrong: next(iter(wrong))
)
def test_a_setting_that_makes_no_sense_is_refused(model, wrong):
    with pytest.raises(ConfigError, match="choose"):
        model.colorize(smooth(), **wrong)


def test_views_are_welcome(model):
    rgb = np.stack([smooth()] * 3, axis=-1)
    flipped = rgb[::-1, ::-1]
    assert np.array_equal(model.colorize(flipped), model.colorize(flipped.copy()))
    assert np.array_equal(model.colorize(smooth()[:, ::2]), model.colorize(smooth()[:, ::2].copy()))


def test_a_prediction_has_the_pictures_size(model):
    ab, confidence = model.predict(gray(70, 110))
    assert ab.shape == (2, 70, 110)
    assert confidence.shape == (70, 110)
    assert ab.dtype == confidence.dtype == np.float32
    assert confidence.min() >= 0
    assert confidence.max() <= 1


def test_the_networks_own_vividness_is_the_default(model):
    picture = gray(32, 32)
    assert np.array_equal(model.predict(picture)[0], model.predict(picture, vividness=0.25)[0])
    assert not np.array_equal(model.predict(picture)[0], model.predict(picture, vividness=0.5)[0])


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
    ids=["floats", "RGBA", "empty", "line"],
)
def test_other_arrays_are_refused_with_their_shape(model, array):
    with pytest.raises(ValueError, match=r"a picture is uint8 \(H, W\) or \(H, W, 3\), not"):
        model.colorize(array)
    with pytest.raises(ValueError, match="a picture is uint8"):
        model.predict(array)


def test_loading_takes_the_arguments_of_a_backend(path):
    with load_model(path, backend="onnx", threads=1) as opened:
        assert opened.backend.name == "onnx"
        reference = open_backend("onnx", path, threads=1)
        assert opened.backend.network == reference.network
    with pytest.raises(ConfigError, match="no model 'vast'"):
        load_model("vast")


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_on_this_processor_too_int8_has_the_colors_of_single_precision(backend):
    with load_model("tiny", backend=backend) as int8, load_model("tiny-fp32", backend=backend) as single:
        for picture in (data.astronaut(), data.chelsea(), data.coffee()):
            ours, reference = (lab_from_rgb(model.colorize(picture)) for model in (int8, single))
            assert ciede2000(ours, reference).mean() < 1
