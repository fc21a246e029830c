"""The palette covers the colors, the prior rebalances, and the loss is smallest at the truth."""

import numpy as np
import pytest
import torch

from training.loss import ColorLoss, make_palette, make_prior, sampled_ab


@pytest.fixture(scope="module")
def palette():
    rng = np.random.default_rng(0)
    grays = rng.normal(0, 3, (20_000, 2))
    colors = rng.uniform(-60, 60, (2_000, 2))
    return make_palette(np.concatenate([grays, colors]).astype(np.float32), 32)


def test_rare_colors_have_their_place_in_the_palette(palette):
    colors, frequency = palette
    assert colors.shape == (32, 2)
    assert frequency.sum() == pytest.approx(1)
    assert (colors.norm(dim=1) > 20).sum() > 8
    assert frequency[colors.norm(dim=1) > 20].sum() < 0.15


def test_the_same_seed_gives_the_same_palette():
    ab = np.random.default_rng(1).uniform(-50, 50, (500, 2)).astype(np.float32)
    assert torch.equal(make_palette(ab, 8, seed=3)[0], make_palette(ab, 8, seed=3)[0])


def test_rebalancing_weighs_rare_colors_more_and_keeps_the_mean_weight():
    frequency = torch.tensor([0.9, 0.09, 0.01])
    weights = make_prior(frequency).exp()
    assert weights[0] < weights[1] < weights[2]
    assert (weights * frequency).sum() == pytest.approx(1)
    assert make_prior(torch.full((4,), 0.25)).abs().max() < 1e-6


def test_without_rebalancing_a_rare_color_weighs_as_much_as_a_common_one(palette):
    colors, _ = palette
    prior = torch.linspace(-2, 2, len(colors))
    truths = [color.round().reshape(1, 2, 1, 1) for color in (colors[0], colors[-1])]

    def losses(rebalance):
        loss_of = ColorLoss(colors, prior, rebalance=rebalance, nearest=1)
        return [loss_of(torch.zeros(1, len(colors), 1, 1), truth)[0].item() for truth in truths]

    common, rare = losses(0.0)
    assert common == pytest.approx(rare)
    assert losses(1.0) != pytest.approx([common, rare], rel=0.1)


def test_the_terms_on_the_mean_color_are_those_of_huber_and_of_the_squared_error(palette):
    colors, frequency = palette
    logits = torch.randn(2, 32, 4, 4, generator=torch.Generator().manual_seed(0))
    mean = (logits.softmax(1)[:, :, None] * colors[None, :, :, None, None]).sum(1)
    loss_of = ColorLoss(colors, make_prior(frequency), huber=0.02, squared=0.01)
    parts = dict(zip(loss_of.parts, loss_of(logits, mean + 20), strict=True))
    assert parts["huber"].item() == pytest.approx(0.02 * 10 * (20 - 5), rel=1e-3)
    assert parts["squared"].item() == pytest.approx(0.01 * 400, rel=1e-3)


def logits_for(ab, colors, sharpness=0.02):
    distance = torch.cdist(ab.permute(0, 2, 3, 1).flatten(0, 2), colors)
    n, _, h, w = ab.shape
    return (-sharpness * distance**2).reshape(n, h, w, -1).permute(0, 3, 1, 2)


def test_the_truth_costs_less_than_anything_else(palette):
    colors, frequency = palette
    loss_of = ColorLoss(colors, make_prior(frequency), huber=0.02)
    ab = torch.rand(2, 2, 4, 4) * 80 - 40
    right = loss_of(logits_for(ab, colors), ab)
    wrong = loss_of(logits_for(-ab, colors), ab)
    nothing = loss_of(torch.zeros(2, 32, 4, 4), ab)
    assert right[0] < nothing[0] < wrong[0]
    assert right[1] < nothing[1]


def test_logits_that_minimize_the_rebalanced_loss_are_those_of_the_true_frequencies(palette):
    colors, _ = palette
    truth = colors[torch.tensor([0] * 15 + [1])].T.reshape(1, 2, 4, 4).round()
    frequency = torch.full((32,), 1e-3)
    frequency[0], frequency[1] = 0.9, 0.07
    loss_of = ColorLoss(colors, make_prior(frequency), huber=0.0, nearest=1)
    free = torch.zeros(1, 32, 1, 1, requires_grad=True)  # one guess for all places: it can only learn how often
    optimizer = torch.optim.Adam([free], lr=0.1)
    for _ in range(600):
        optimizer.zero_grad()
        loss_of(free.expand(1, 32, 4, 4), truth)[0].backward()
        optimizer.step()
    chance = free.detach().softmax(1).flatten()
    assert chance[0] == pytest.approx(15 / 16, abs=0.02)
    assert chance[1] == pytest.approx(1 / 16, abs=0.02)


def test_colors_far_outside_the_table_still_have_a_loss(palette):
    colors, frequency = palette
    loss_of = ColorLoss(colors, make_prior(frequency), huber=0.02, smooth=0.1)
    parts = loss_of(torch.zeros(1, 32, 1, 1), torch.tensor([300.0, -300.0]).reshape(1, 2, 1, 1))
    assert all(torch.isfinite(part) for part in parts)


def test_sampling_takes_from_every_picture():
    pictures = [np.full((2, 5, 5), number, np.float32) for number in range(3)]
    assert sampled_ab(pictures, each=4).tolist() == [[n, n] for n in (0, 1, 2) for _ in range(4)]
