"""Counters: cheap to write, safe to read."""

import time
from fractions import Fraction

import pytest
from fakes import info

from streamcolor.metrics import FeedCounts, Stage


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
            counters.written(pts)
        assert counters.snapshot().done == 0.75

    def test_otherwise_in_time(self):
        counters = FeedCounts()
        counters.begin_session(info(duration=2.0, time_base=Fraction(1, 10)))
        for pts in (100, 105):
            counters.written(pts)
        snapshot = counters.snapshot()
        assert snapshot.position == 0.5
        assert snapshot.done == 0.25

    def test_a_snapshot_stays_as_it_is(self):
        counters = FeedCounts()
        before = counters.snapshot()
        counters.begin_session(info())
        counters.written(1)
        assert before == FeedCounts()

    def test_a_source_without_a_length_is_never_part_done(self):
        assert FeedCounts().snapshot().done is None

    def test_a_header_that_promised_too_little_does_not_lead_beyond_the_end(self):
        counters = FeedCounts()
        counters.begin_session(info(frames=1))
        for pts in range(3):
            counters.written(pts)
        assert counters.snapshot().done == 1.0

    def test_a_new_session_keeps_the_counts_and_starts_the_clock_anew(self):
        counters = FeedCounts()
        for _ in range(2):
            counters.begin_session(info(duration=1.0))
            counters.written(50)
            counters.written(75)
        snapshot = counters.snapshot()
        assert snapshot.sessions == 2
        assert snapshot.write.frames == 4
        assert snapshot.position == 1.0
