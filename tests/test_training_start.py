"""A run may begin with a network that was exported: it says the same at first, and learns from there."""

import pytest
import torch

from streamcolor.nets.autoencoder import SHAPES, Autoencoder
from training import train as training
from training.config import BadSettingsError, Settings
from training.pictures import find_pictures
from training.start import start_from, unfolded
from training.state import State


@pytest.fixture(scope="module")
def tiny():
    return start_from("tiny")


def settings(pictures, out, **more):
    given = {"data": pictures, "out": out, "steps": 1, "batch": 2, "size": 64, "every": 1, "workers": 0}
    return Settings(**(given | {"validation_share": 0.2, "warmup": 1, "start": "tiny"} | more))


def test_the_network_says_what_the_exported_one_says(tiny):
    lights = [torch.rand(2, 1, 64, 64) * 100 for _ in range(2)]
    fresh = Autoencoder(SHAPES["tiny"], *tiny.palette)
    again = unfolded(tiny.network.eval(), fresh, lights).eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(lights[0]), tiny.network(lights[0]), rtol=1e-4, atol=1e-4)


def test_its_norms_are_at_rest_on_the_pictures_that_measured_them(tiny):
    # In training mode norms use the batch itself: had they other scales, the first step would undo what was learned.
    light = torch.rand(4, 1, 64, 64) * 100
    network = unfolded(tiny.network.eval(), Autoencoder(SHAPES["tiny"], *tiny.palette), [light])
    with torch.inference_mode():
        torch.testing.assert_close(network.train()(light), tiny.network(light), rtol=1e-2, atol=1e-2)


def test_a_run_starts_with_its_palette_and_learns(pictures, tmp_path, tiny):
    checkpoint = training.train(settings(pictures, tmp_path))
    saved = torch.load(checkpoint, weights_only=False)
    torch.testing.assert_close(saved["palette"], tiny.palette[0])
    assert not torch.equal(saved["network"]["head.weight"], tiny.network.head.weight)


def test_what_was_begun_goes_on_from_its_checkpoint_not_from_the_start_again(pictures, tmp_path):
    checkpoint = training.train(settings(pictures, tmp_path))
    found = find_pictures(pictures)
    state = State(settings(pictures, tmp_path, steps=2), found, checkpoint, torch.device("cpu"))
    saved = torch.load(checkpoint, weights_only=False)["network"]
    assert state.step == 1
    assert torch.equal(state.network.state_dict()["head.weight"], saved["head.weight"])


@pytest.mark.parametrize("shape", ["base", "seed"])
def test_a_network_of_another_shape_cannot_go_on_from_it(pictures, tmp_path, shape):
    with pytest.raises(BadSettingsError, match=f"start: .* {shape}"):
        training.train(settings(pictures, tmp_path, shape=shape))
