"""The autoencoder takes any size its stride divides, ignores absent hints, and says how sure it is."""

import pytest
import torch
from torch import nn

from streamcolor.nets.autoencoder import SHAPES, Autoencoder, Predictor, Shape

SMALL = Shape(widths=(8, 12, 16), blocks=(1, 1, 1), decoder=(12, 8))


def small_network(seed=0):
    torch.manual_seed(seed)
    network = Autoencoder(SMALL, torch.randn(16, 2) * 30, torch.randn(16))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


@pytest.mark.parametrize("size", [(16, 16), (32, 48), (80, 16)])
def test_any_size_that_the_stride_divides_comes_out_at_a_quarter(size):
    logits = small_network()(torch.rand(2, 1, *size) * 100)
    assert logits.shape == (2, 16, size[0] // 4, size[1] // 4)
    assert SMALL.stride == 16


def test_hints_that_tell_nothing_change_nothing():
    network, light = small_network(), torch.rand(1, 1, 32, 32) * 100
    with torch.inference_mode():
        assert torch.equal(network(light), network(light, torch.zeros(1, 3, 8, 8)))
        hinted = torch.zeros(1, 3, 8, 8)
        hinted[:, :, 4, 4] = 1
        assert not torch.equal(network(light), network(light, hinted))


def operations(network, side):
    """Count multiplications and additions of the convolutions for one square picture."""
    counted = []

    def count(layer, _, output):
        counted.append(2 * output[0].numel() * layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1])

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 1, side, side))
    return sum(counted)


@pytest.mark.parametrize(("name", "limit"), [("tiny", 2.5e9), ("base", 25e9)])
def test_the_family_keeps_its_budget_of_operations(name, limit):
    network = Autoencoder(SHAPES[name], torch.zeros(128, 2), torch.zeros(128)).eval()
    assert operations(network, 256) <= limit


def test_only_plain_convolutions_are_used():
    layers = [m for m in small_network().modules() if isinstance(m, nn.Conv2d)]
    assert {layer.groups for layer in layers} == {1}
    assert {layer.kernel_size for layer in layers} == {(1, 1), (3, 3)}


def predict(network, vividness, **strength):
    predictor = Predictor(network, **({"boost": 0.5, "sharpness": 1.0, "spread": 12.0, "calm": 1.0} | strength)).eval()
    torch.manual_seed(1)
    with torch.inference_mode():
        return predictor(torch.rand(1, 1, 32, 32) * 100, torch.tensor([vividness]))


def test_no_vividness_is_the_mean_color():
    network = small_network()
    ab, _ = predict(network, 0.0)
    torch.manual_seed(1)
    with torch.inference_mode():
        mean = network.mean_color(network(torch.rand(1, 1, 32, 32) * 100))
    assert torch.allclose(ab, mean, atol=1e-3)


def test_calm_mutes_the_careful_colors_and_not_the_vivid_ones():
    network = small_network()
    full, muted = (predict(network, 0.0, calm=calm)[0] for calm in (1.0, 0.5))
    assert torch.allclose(muted, full / 2, atol=1e-4)
    assert torch.equal(predict(network, 1.0, calm=0.5)[0], predict(network, 1.0, calm=1.0)[0])


def test_confidence_is_a_half_where_the_deviation_is_the_spread():
    network = small_network()
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    deviation = float(network.palette.var(0, correction=0).sum().sqrt())
    _, confidence = predict(network, 0.0, spread=deviation)
    assert confidence == pytest.approx(0.5, abs=1e-3)


def test_a_sure_network_is_confident_and_an_unsure_one_keeps_to_the_mean():
    network = small_network()
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    mean, _ = predict(network, 0.0)
    strong, unsure = predict(network, 1.0, spread=0.01)
    assert unsure.max() < 0.01
    assert torch.allclose(mean, strong, atol=0.5)
    network.head.bias.data[3] = 20
    ab, sure = predict(network, 0.0)
    assert sure.min() > 0.99
    assert torch.allclose(ab[0, :, 0, 0], network.palette[3], atol=0.1)
