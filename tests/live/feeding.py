"""Ways to feed a broadcast: drawn sessions, a clock that the test turns, and waits that cannot be lucky."""

import time
from dataclasses import replace
from fractions import Fraction
from io import BytesIO

import av
from clips import planes_of
from sinks_feed import drawn, info_of

TICKS = 90_000
START = 1000.0  # seconds on the clock when a feed begins


class Clock:
    """Time that stands still until the test moves it."""

    def __init__(self, now=START):
        self.now = now

    def __call__(self):
        return self.now


def live_info(size=(64, 48), *, rate=25, **more):
    """What a live source tells: its time stamps are the clock's, in 1/90000 s."""
    return replace(info_of(size, rate=rate), time_base=Fraction(1, TICKS), **more)


def frames_of(info, clock, count, *, first=0):
    """Frames at the clock's pace, which they move."""
    for index in range(first, first + count):
        yield drawn(info, index, pts=round(clock.now * TICKS))
        clock.now += 1 / float(info.rate)


def feed(broadcast, clock, count, *, info=None, first=0):
    """A whole session of drawn frames; gives them."""
    info = info or live_info()
    sink = broadcast.make_sink()
    sink.open(info)
    frames = []
    for frame in frames_of(info, clock, count, first=first):
        sink.write(frame)
        frames.append(frame)
    sink.close()
    return frames


def wait_until(condition, seconds=20.0):
    """Poll until something is so; fail if it never is."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def decoded(data):
    """[(seconds, planes)] of the video in bytes or in a file."""
    with av.open(BytesIO(data) if isinstance(data, bytes) else str(data)) as source:
        video = source.streams.video[0]
        return [(float(frame.pts * video.time_base), planes_of(frame)) for frame in source.decode(video)]


def boxes(data):
    """The top-level boxes of MP4 data, by name."""
    names, at = [], 0
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    return names
