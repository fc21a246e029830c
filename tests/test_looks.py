"""Each camera has colors to its taste, from one network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_colorizer import FakeBackend, gray

from streamcolor.errors import ConfigError
from streamcolor.looks import Look, Looks


def frames(*feeds, **keywords):
    """One picture of each feed's first session."""
    return [gray(number, stream=f"{feed}/0", seed=number, **keywords) for number, feed in enumerate(feeds)]


def strength(frame):
    """How far its color is from gray."""
    return abs(int(frame.chroma[0][0, 0]) - 128)


def looks(**chosen):
    made = Looks(FakeBackend())
    made.choose(chosen)
    return made


def test_feeds_with_one_look_share_a_batch():
    made = looks(gate=Look(), yard=Look())
    made(frames("gate", "yard"))
    assert [len(call) for call in made._backend.calls] == [2]


def test_each_feed_has_its_own_look():
    made = looks(gate=Look(saturation=0), yard=Look(saturation=2), barn=Look(saturation=1))
    gate, yard, barn = made(frames("gate", "yard", "barn"))
    assert strength(gate) == 0
    assert strength(yard) > strength(barn) > 0


def test_a_change_holds_from_the_next_frame_on():
    made = looks(gate=Look())
    (before,) = made(frames("gate"))
    made.choose({"gate": Look(saturation=0)})
    (after,) = made(frames("gate"))
    assert strength(before) > strength(after) == 0


def test_who_keeps_the_look_keeps_what_is_remembered():
    made = looks(gate=Look(), yard=Look(every=7))
    made(frames("gate"))
    made.choose({"gate": Look(), "barn": Look(every=9)})
    made(frames("gate"))
    assert made._backend.pictures == 1, "the picture has not changed"


def test_the_last_frames_of_a_feed_that_has_gone_stay_as_they_are():
    made = looks(gate=Look())
    stray = frames("yard")
    assert made(stray) == stray


def test_a_session_that_is_over_is_forgotten_by_all():
    made = looks(gate=Look(), yard=Look(saturation=2))
    made(frames("gate", "yard"))
    made.forget("gate/0")
    made(frames("gate", "yard"))
    assert made._backend.pictures == 3


def test_a_look_that_cannot_be_is_refused_and_changes_nothing():
    made = looks(gate=Look(saturation=0))
    with pytest.raises(ConfigError, match="saturation is 9"):
        made.choose({"gate": Look(saturation=9)})
    assert strength(made(frames("gate"))[0]) == 0


@given(st.lists(st.sampled_from("abc"), max_size=6))
def test_frames_keep_number_order_time_and_luma(feeds):
    made = looks(a=Look(), b=Look(saturation=2))
    given = frames(*feeds)
    colored = made(given)
    assert [(frame.stream, frame.pts) for frame in colored] == [(frame.stream, frame.pts) for frame in given]
    assert all(after.luma is before.luma for before, after in zip(given, colored, strict=True))
