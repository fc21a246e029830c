"""The module for a GPU colors planes as the processor does, whatever their size, matrix and range."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_nets import SMALL, small_network
from torch import nn

from streamcolor.backends import Network, Prediction
from streamcolor.backends.fused import codes_of
from streamcolor.chroma import network_size
from streamcolor.color import neutral
from streamcolor.colorizer import Colorizer
from streamcolor.export import scenes
from streamcolor.frames import ColorSpace, Frame, Matrix
from streamcolor.nets.autoencoder import Predictor
from streamcolor.nets.planes import PlanesColorizer, Sizes, halved

PIXELS = 32 * 64
SPACES = [ColorSpace(matrix, full_range=full) for matrix in Matrix for full in (False, True)]


class Vivid(nn.Module):
    """A Predictor's twin with strong colors in every place, so that a wrong matrix shows."""

    def __init__(self):
        super().__init__()
        self.network = nn.AvgPool2d(4)

    def forward(self, light_N1hw, vividness_1):
        level = self.network(light_N1hw)
        ab = torch.cat([torch.sin(level / 15), torch.cos(level / 20)], 1)
        return ab * 30 * (1 + vividness_1), torch.ones_like(level)


class TorchHere:
    """A backend that runs the very module that is compared."""

    network = Network("small", Path("small.onnx"), SMALL.stride, PIXELS, "fp32")

    def predict(self, light_N1hw, *, vividness):
        with torch.inference_mode():
            ab, confidence = Vivid()(torch.from_numpy(light_N1hw), torch.tensor([vividness]))
        return Prediction(ab.numpy(), confidence.numpy())


def fused(size, space, **keywords):
    height, width = size
    across, down = network_size(width, height, pixels=PIXELS, stride=SMALL.stride)
    module = PlanesColorizer(Vivid(), Sizes(size, (down, across)), codes_of(space), **keywords)
    return module.eval()


def colors(module, luma_NHW, *, vividness=0.5, saturation=1.0):
    """What the module makes of planes: int (N,2,C,D)."""
    with torch.inference_mode():
        chroma = module(torch.from_numpy(luma_NHW)[:, None], torch.tensor([vividness]), torch.tensor([saturation]))
    assert chroma.dtype == torch.uint8
    return chroma.numpy().astype(int)


def processor(luma_NHW, space, **keywords):
    """The same by the ordinary way."""
    half = tuple(-(-side // 2) for side in luma_NHW.shape[1:])
    nothing = np.full(half, neutral(space), np.uint8)
    frames = [Frame("a", n, luma, (nothing, nothing), space, 0.0) for n, luma in enumerate(luma_NHW)]
    colorizer = Colorizer(TorchHere(), when_colored="replace", every=1, **keywords)
    return np.array([frame.chroma for frame in colorizer(frames)], int)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_every_matrix_and_range_gets_the_processors_colors(space, half):
    luma = scenes(2, 96, 130, space)
    difference = np.abs(colors(fused((96, 130), space, half=half), luma) - processor(luma, space))
    assert difference.mean() < 0.5
    assert difference.max() <= 3


@given(height=st.integers(2, 300), width=st.integers(2, 300), space=st.sampled_from(SPACES))
@settings(max_examples=25, deadline=None)
def test_odd_and_extreme_sizes_too(height, width, space):
    luma = scenes(1, height, width, space)
    found = colors(fused((height, width), space), luma)
    assert found.shape == (1, 2, -(-height // 2), -(-width // 2))
    assert np.abs(found - processor(luma, space)).mean() < 0.6


@pytest.mark.parametrize("vividness", [0.0, 1.0])
@pytest.mark.parametrize("saturation", [0.5, 2.0])
def test_vividness_and_saturation_do_what_they_do_on_the_processor(vividness, saturation):
    wishes = {"vividness": vividness, "saturation": saturation}
    luma, space = scenes(2, 64, 64, ColorSpace()), ColorSpace()
    found, expected = colors(fused((64, 64), space), luma, **wishes), processor(luma, space, **wishes)
    assert np.abs(found - expected).mean() < 0.5
    assert np.abs(expected - colors(fused((64, 64), space), luma)).mean() > 1, "else the settings would not matter"


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_no_saturation_is_neutral_in_every_place(space):
    luma = np.random.default_rng(0).integers(0, 256, (2, 50, 70), np.uint8)
    for half in (False, True):
        assert (colors(fused((50, 70), space, half=half), luma, saturation=0.0) == 128).all()


def test_interleaved_chroma_is_the_planes_in_turn():
    luma = scenes(2, 48, 80, ColorSpace())
    planar = colors(fused((48, 80), ColorSpace()), luma)
    interleaved = colors(fused((48, 80), ColorSpace(), interleaved=True), luma)
    assert interleaved.shape == (2, 24, 40, 2)
    assert np.array_equal(np.moveaxis(interleaved, -1, 1), planar)


def test_pictures_of_a_batch_do_not_touch_each_other():
    luma, module = scenes(3, 64, 96, ColorSpace()), fused((64, 96), ColorSpace())
    together, alone = colors(module, luma), [colors(module, luma[n : n + 1]) for n in range(3)]
    assert np.abs(together - np.concatenate(alone)).max() <= 1


def test_extreme_codes_and_colors_stay_within_eight_bits():
    luma = np.array([0, 255], np.uint8)[:, None, None].repeat(32, 1).repeat(64, 2)
    found = colors(fused((32, 64), ColorSpace()), luma, vividness=1.0, saturation=4.0)
    assert np.abs(found - processor(luma, ColorSpace(), vividness=1.0, saturation=4.0)).max() <= 1


def predictor():
    return Predictor(small_network(), boost=0.5, sharpness=1.0, spread=12.0, calm=0.8).eval()


def test_half_precision_is_inside_the_network_only():
    whole, light = predictor(), torch.rand(2, 1, 32, 48) * 100
    kinds = {parameter.dtype for parameter in halved(predictor()).network.parameters()}
    assert kinds == {torch.float16}
    for vividness in (torch.zeros(1), torch.ones(1)):
        with torch.inference_mode():
            (ab, confidence), (ab_half, confidence_half) = (
                whole(light, vividness),
                halved(predictor())(light, vividness),
            )
        assert ab_half.dtype == confidence_half.dtype == torch.float32
        assert (ab - ab_half).abs().mean() < 0.2
        assert (confidence - confidence_half).abs().max() < 0.02


def test_logits_that_overflow_half_precision_as_powers_do_not():
    sure = predictor()
    nn.init.constant_(sure.network.head.bias, 40.0)
    with torch.inference_mode():
        ab, _ = halved(sure)(torch.rand(1, 1, 32, 32) * 100, torch.ones(1))
    assert ab.isfinite().all()
