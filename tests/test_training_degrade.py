"""Damage is seeded, keeps the shape and range, and leaves a third of the pictures alone."""

import numpy as np
import pytest

from streamcolor.color import light_from_gray
from training.degrade import DAMAGES, degrade, luma


@pytest.fixture
def light():
    rng = np.random.default_rng(0)
    return (rng.random((48, 40)) * 100).astype(np.float32)


@pytest.mark.parametrize("damage", [damage for damage, _ in DAMAGES], ids=lambda damage: damage.__name__)
def test_every_damage_changes_the_picture_and_keeps_its_shape_and_type(damage, light):
    before = light.copy()
    damaged = damage(light, np.random.default_rng(1))
    assert damaged.shape == light.shape
    assert damaged.dtype == np.float32
    assert not np.allclose(damaged, before)
    assert (light == before).all()


def test_the_same_seed_gives_the_same_damage(light):
    once, twice = (degrade(light, np.random.default_rng(5)) for _ in range(2))
    assert (once == twice).all()


def test_a_third_stays_whole_and_all_stay_in_range(light):
    results = [degrade(light, np.random.default_rng(seed)) for seed in range(200)]
    assert 40 <= sum((result == light).all() for result in results) <= 100
    assert min(result.min() for result in results) >= 0
    assert max(result.max() for result in results) <= 100


def test_lightness_of_a_gray_picture_is_that_of_the_pipeline_whatever_the_film():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = np.repeat(gray[..., None], 3, axis=2)
    for rng in (None, *map(np.random.default_rng, range(20))):
        assert luma(rgb, rng) == pytest.approx(light_from_gray(gray), abs=1e-3)


def test_films_differ_in_how_light_a_red_is():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 220
    seen = {round(float(luma(red, np.random.default_rng(seed))[0, 0]), 1) for seed in range(30)}
    assert len(seen) > 3
