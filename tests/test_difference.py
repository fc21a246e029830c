"""CIEDE2000 against its published data and against an independent implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000

from streamcolor.difference import ciede2000

# From the table of Sharma, Wu and Dalal (2005): pairs at which implementations go wrong.
PUBLISHED = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 2.8361, -74.0200), (50, 0, -82.7485), 3.4412),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0009), 7.1792),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0011), 7.2195),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
]
colors = st.tuples(st.floats(0, 100), st.floats(-120, 120), st.floats(-120, 120))


@pytest.mark.parametrize(("first", "second", "difference"), PUBLISHED)
def test_it_gives_the_published_differences(first, second, difference):
    assert ciede2000(np.array(first, float), np.array(second, float)) == pytest.approx(difference, abs=1e-4)


@given(colors, colors)
def test_it_does_not_matter_which_color_comes_first(first, second):
    one, other = np.array(first), np.array(second)
    assert ciede2000(one, other) == pytest.approx(ciede2000(other, one), abs=1e-9)
    assert ciede2000(one, one) == 0


def test_whole_pictures_agree_with_scikit_image():
    random = np.random.default_rng(0)
    first = random.uniform((0, -100, -100), (100, 100, 100), (60, 80, 3))
    second = first + random.normal(0, 10, first.shape)
    assert np.allclose(ciede2000(first, second), deltaE_ciede2000(first, second), atol=1e-9)


def test_single_precision_stays_single():
    picture = np.zeros((2, 2, 3), np.float32)
    assert ciede2000(picture, picture).dtype == np.float32
