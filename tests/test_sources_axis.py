"""Times of a live stream: always rising, never in the future, evenly spaced although arrival jitters."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcolor.sources.timing import Axis

SECOND = 90_000  # ticks of the axis
SOUND = Fraction(1, 8000)


@dataclass
class Timed:
    """What an Axis looks at of a picture or a packet."""

    pts: int | None
    time_base: Fraction = Fraction(1, SECOND)
    dts: int | None = None
    stream_index: int = 1


def placed(pictures, *, trusted=True):
    """Places, in seconds, of pictures given as (camera's seconds or None, arrival in seconds)."""
    axis = Axis(trusted=trusted)
    timed = [(None if at is None else round(at * SECOND), now) for at, now in pictures]
    return [axis.picture(Timed(pts), now) / SECOND for pts, now in timed]


@given(st.lists(st.tuples(st.one_of(st.none(), st.floats(-1e4, 1e4)), st.floats(0, 0.3)), min_size=1, max_size=80))
def test_times_rise_and_are_never_in_the_future_whatever_the_camera_says(steps):
    now, pictures = 1000.0, []
    for at, waited in steps:
        now += waited
        pictures.append((at, now))
    places = placed(pictures)
    assert all(later > earlier for earlier, later in pairwise(places))
    for number, (place, (_, arrived)) in enumerate(zip(places, pictures, strict=True)):
        assert place <= arrived + (number + 1) / SECOND, "beyond its arrival only by the ticks that keep it rising"


def test_pictures_keep_the_cameras_spacing_although_arrival_jitters():
    places = placed([(frame / 25, 500 + frame / 25 + (0.03 if frame % 3 else 0.0)) for frame in range(100)])
    gaps = [later - earlier for earlier, later in pairwise(places)]
    assert max(abs(gap - 0.04) for gap in gaps) < 0.001


def test_a_camera_that_counts_from_zero_again_goes_on_where_it_was():
    places = placed([(100.0, 50.0), (100.04, 50.04), (0.0, 51.0), (0.04, 51.04)])
    assert places == pytest.approx([50.0, 50.04, 51.0, 51.04], abs=1e-3)


def test_a_camera_whose_clock_leaps_ahead_is_followed_at_once():
    assert placed([(0.0, 50.0), (3600.0, 50.04)]) == pytest.approx([50.0, 50.04], abs=1e-3)


@pytest.mark.parametrize("error", [-1e-4, 1e-4])
def test_a_clock_that_runs_wrong_is_followed_slowly(error):
    places = placed([(frame / 25 * (1 + error), frame / 25) for frame in range(25 * 3600)])
    assert places[-1] == pytest.approx(3600, abs=0.1)
    assert max(abs(later - earlier - 0.04) for earlier, later in pairwise(places)) < 0.001


def test_times_that_ffmpeg_made_up_do_not_count():
    assert placed([(frame / 25, 7 + frame / 10) for frame in range(5)], trusted=False) == [7, 7.1, 7.2, 7.3, 7.4]


class TestSound:
    def carried(self, axis, pts, now, **more):
        packet = Timed(pts, SOUND, **more)
        axis.carry(packet, now)
        return packet

    def test_it_moves_with_the_pictures_it_belongs_to(self):
        axis = Axis(trusted=True)
        axis.picture(Timed(10 * SECOND), 100.0)
        packet = self.carried(axis, 10 * 8000 + 400, 100.3)
        assert packet.pts * SOUND == pytest.approx(100.05)
        assert packet.dts == packet.pts

    def test_it_keeps_to_its_own_arrival_where_it_shares_no_clock(self):
        axis = Axis(trusted=True)
        axis.picture(Timed(10 * SECOND), 100.0)
        places = [self.carried(axis, number * 160, 100 + number * 0.02).pts * SOUND for number in range(5)]
        assert [float(place) for place in places] == pytest.approx([100, 100.02, 100.04, 100.06, 100.08])

    def test_its_times_rise_even_where_they_are_missing(self):
        axis = Axis(trusted=True)
        axis.picture(Timed(0), 100.0)
        packets = [self.carried(axis, pts, 100.0) for pts in (None, None, 0, 0, -50)]
        assert all(later.dts > earlier.dts for earlier, later in pairwise(packets))

    def test_a_packet_that_is_shown_later_than_decoded_stays_so(self):
        axis = Axis(trusted=True)
        axis.picture(Timed(0), 100.0)
        packet = self.carried(axis, 240, 100.0, dts=80)
        assert packet.pts - packet.dts == 160
