"""What a person sees while a run goes on."""

import io
from dataclasses import replace

import pytest
from fakes import info

from streamcolor.metrics import FeedCounts
from streamcolor.progress import LINE_EVERY, progress, status


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def counts(written, expected=100, **changes):
    counters = FeedCounts()
    counters.begin_session(info(frames=expected))
    for pts in range(written):
        counters.written(pts, 0.0, 0.0)
    return replace(counters.snapshot(0.0), **changes)


@pytest.mark.parametrize(
    ("snapshot", "elapsed", "text"),
    [
        (counts(25), 5.0, "25/100 frames, 5.0 fps, 0:15 left"),
        (counts(25, expected=None), 5.0, "25 frames, 5.0 fps"),
        (counts(25, expected=None, duration=4.0), 3.0, "25 frames, 8.3 fps, 0:10 left"),
        (counts(0), 0.0, "0/100 frames, 0.0 fps"),
        (counts(100), 3700.0, "100/100 frames, 0.0 fps, 0:00 left"),
    ],
)
def test_the_status_says_what_is_known(snapshot, elapsed, text):
    assert status(snapshot, elapsed) == text


def test_a_log_gets_a_line_now_and_then():
    stream, clock = io.StringIO(), Clock()
    with progress(stream, clock=clock) as show:
        for written in range(1, 40):
            clock.now += 0.25
            show(counts(written))
    assert len(stream.getvalue().splitlines()) == int(39 * 0.25 / LINE_EVERY) == 1
    assert stream.getvalue() == "20/100 frames, 4.0 fps, 0:20 left\n"


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end():
    stream, clock = Terminal(), Clock()
    with progress(stream, clock=clock) as show:
        clock.now += 5
        show(counts(25))
        seen = stream.getvalue()
    assert "25%" in seen
    assert "25/100 frames" in seen


def test_a_bar_without_a_known_length_only_counts():
    stream = Terminal()
    with progress(stream, clock=Clock()) as show:
        show(counts(25, expected=None))
    assert "25 frames" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quiet_is_quiet(stream):
    with progress(stream, quiet=True) as show:
        show(counts(1))
    assert stream.getvalue() == ""
