"""Counters: cheap to write, safe to read."""

import time
from fractions import Fraction

import pytest
from fakes import info
from hypothesis import given
from hypothesis import strategies as st

from streamcolor.metrics import BOUNDS, WINDOW, FeedCounts, Histogram, Rate, Stage, State

NOW = 1000.5  # monotonic seconds


def test_a_stage_counts_the_time_between_entering_and_leaving():
    stage = Stage()
    for _ in range(2):
        with stage.busy():
            time.sleep(0.01)
    assert 0.02 <= stage.wall < 1
    assert 0 <= stage.cpu < stage.wall


def test_an_error_inside_a_stage_is_passed_on_and_timed():
    stage = Stage()
    with pytest.raises(RuntimeError, match="inside"), stage.busy():
        raise RuntimeError("inside")
    assert stage.wall > 0


def test_a_share_can_be_added():
    stage = Stage()
    stage.count(2, wall=0.5, cpu=0.25)
    stage.count(1, wall=0.5, cpu=0.25)
    assert stage == Stage(frames=3, wall=1.0, cpu=0.5)


class TestFeed:
    def test_the_part_done_is_counted_in_frames_where_their_number_is_known(self):
        counters = FeedCounts()
        counters.begin_session(info(frames=4, duration=99.0))
        for pts in range(3):
            counters.written(pts, NOW, NOW)
        assert counters.snapshot(NOW).done == 0.75

    def test_otherwise_in_time(self):
        counters = FeedCounts()
        counters.begin_session(info(duration=2.0, time_base=Fraction(1, 10)))
        for pts in (100, 105):
            counters.written(pts, NOW, NOW)
        snapshot = counters.snapshot(NOW)
        assert snapshot.position == 0.5
        assert snapshot.done == 0.25

    def test_a_snapshot_stays_as_it_is(self):
        counters = FeedCounts()
        before = counters.snapshot(NOW)
        counters.begin_session(info())
        counters.written(1, NOW, NOW)
        assert before == FeedCounts()

    def test_a_source_without_a_length_is_never_part_done(self):
        assert FeedCounts().snapshot(NOW).done is None

    def test_a_header_that_promised_too_little_does_not_lead_beyond_the_end(self):
        counters = FeedCounts()
        counters.begin_session(info(frames=1))
        for pts in range(3):
            counters.written(pts, NOW, NOW)
        assert counters.snapshot(NOW).done == 1.0

    def test_a_new_session_keeps_the_counts_and_starts_the_clock_anew(self):
        counters = FeedCounts()
        for _ in range(2):
            counters.begin_session(info(duration=1.0))
            counters.written(50, NOW, NOW)
            counters.written(75, NOW, NOW)
        snapshot = counters.snapshot(NOW)
        assert snapshot.sessions == 2
        assert snapshot.write.frames == 4
        assert snapshot.position == 1.0

    def test_a_state_lasts_until_it_changes(self):
        counters = FeedCounts()
        counters.turn(State.LOST, 10, "gone")
        counters.turn(State.LOST, 20, "refused")
        assert (counters.state, counters.since, counters.error) == ("lost", 10, "refused")
        counters.turn(State.LIVE, 30)
        assert (counters.state, counters.since, counters.error) == ("live", 30, "refused")

    def test_the_first_session_is_no_reconnect(self):
        counters = FeedCounts()
        assert counters.reconnects == 0
        for _ in range(3):
            counters.begin_session(info())
        assert counters.reconnects == 2

    def test_a_snapshot_knows_rate_and_delays_and_does_not_change(self):
        counters = FeedCounts()
        for frame in range(50):
            counters.written(frame, captured=frame / 25, now=frame / 25 + 0.05)
        snapshot = counters.snapshot(2.0)
        counters.written(51, captured=3.0, now=9.0)
        assert snapshot.fps == pytest.approx(25, abs=1.5)
        assert (snapshot.delays.quantile(0.5), sum(snapshot.delays.counts)) == (0.06, 50)


class TestHistogram:
    @given(st.lists(st.floats(0, 10), min_size=1), st.floats(0.01, 1))
    def test_at_least_the_share_lies_at_or_below_the_quantile(self, times, share):
        histogram = Histogram()
        for seconds in times:
            histogram.count(seconds)
        bound = histogram.quantile(share)
        assert sum(seconds <= bound for seconds in times) >= share * len(times) - 1e-9
        assert histogram.total == pytest.approx(sum(times))
        assert len(histogram.counts) == len(BOUNDS) + 1

    def test_without_times_there_is_no_quantile(self):
        assert Histogram().quantile(0.95) is None

    def test_what_is_longer_than_all_bounds_is_counted_last(self):
        histogram = Histogram()
        histogram.count(60)
        assert histogram.counts[-1] == 1
        assert histogram.quantile(1) == float("inf")


class TestRate:
    def test_it_is_that_of_the_last_seconds(self):
        rate = Rate()
        for frame in range(10 * 25):
            rate.count(100 + frame / 25)
        assert rate(110) == 25
        assert rate(110 + WINDOW + 1) == 0

    def test_it_halves_when_half_of_the_window_is_silent(self):
        rate = Rate()
        for frame in range(25 * WINDOW):
            rate.count(frame / 25)
        assert rate(WINDOW + 1) == 25 * (WINDOW - 1) / WINDOW

    def test_it_needs_one_whole_second(self):
        rate = Rate()
        assert rate(5) == 0
        rate.count(5.5)
        assert rate(5.9) == 0
        assert rate(6.1) == 1
