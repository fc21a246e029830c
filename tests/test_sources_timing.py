"""Time stamps only go forward, and a file that ends early is known from one that is whole."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcolor.sources.timing import Coverage, Splices, Timeline

TICK = Fraction(1, 1000)


@dataclass
class Picture:
    pts: int | None = None
    dts: int | None = None
    duration: int = 0


@dataclass
class Stream:
    type: str = "video"


@dataclass
class Packet:
    pts: int | None
    dts: int | None = None
    duration: int | None = 40
    time_base: Fraction = TICK
    is_discard: bool = False
    stream: Stream = None
    stream_index: int = 0

    def __post_init__(self):
        self.stream = self.stream or Stream()
        self.dts = self.pts if self.dts is None else self.dts


def stamps(pictures, *, step=40, depth=0, in_order=False):
    timeline = Timeline(step, lambda: depth, in_order=in_order)
    return [timeline(picture) for picture in pictures], timeline.made_up


def test_the_decoders_times_are_kept():
    assert stamps([Picture(pts) for pts in (-20, 0, 7, 400)]) == ([-20, 0, 7, 400], 0)


def test_pictures_without_any_time_run_evenly():
    assert stamps([Picture()] * 4) == ([0, 40, 80, 120], 4)


def test_a_missing_time_follows_from_the_duration_before():
    assert stamps([Picture(0, duration=100), Picture(), Picture(200)]) == ([0, 100, 200], 1)


def test_the_decoding_time_stands_in_for_a_missing_one():
    assert stamps([Picture(dts=80), Picture(dts=120)], depth=2) == ([0, 40], 0)


def test_a_time_that_stands_still_or_goes_back_is_moved_on():
    assert stamps([Picture(0), Picture(40), Picture(40), Picture(10), Picture(200)]) == ([0, 40, 80, 120, 200], 2)


def test_an_avi_with_b_frames_is_timed_by_its_order():
    pictures = [Picture(pts, dts) for pts, dts in ((1, 2), (4, 3), (3, 4), (5, 5), (2, None), (7, None))]
    assert stamps(pictures, step=1, depth=2, in_order=True) == ([0, 1, 2, 3, 4, 5], 0)


@given(
    st.lists(st.builds(Picture, st.none() | st.integers(-9, 99), st.none() | st.integers(-9, 99), st.integers(0, 9)))
)
def test_times_always_go_forward(pictures):
    for in_order in (False, True):
        found, _ = stamps(pictures, in_order=in_order, depth=1)
        assert all(later > earlier for earlier, later in pairwise(found))


def joined(packets, *, possible=True):
    splices = Splices(possible=possible)
    for packet in packets:
        splices.join(packet)
    return {kind: [packet.pts for packet in packets if packet.stream.type == kind] for kind in KINDS}, splices.count


KINDS = ("video", "audio", "subtitle")


def track(kind, times, recordings=1):
    """The packets of a track in recordings that all begin at the same time."""
    stream = Stream(kind)
    return [Packet(at, stream=stream, stream_index=KINDS.index(kind)) for _ in range(recordings) for at in times]


def test_times_that_start_anew_go_on():
    times, count = joined(track("video", range(0, 1000, 40), recordings=3))
    assert times["video"] == list(range(0, 3000, 40))
    assert count == 2


def test_a_broadcasters_clock_is_brought_to_zero_with_all_that_follows():
    packets = [*track("video", range(9000, 9400, 40)), *track("audio", range(8000, 9400, 40))]
    splices = Splices(possible=True, start=8000 * packets[0].time_base)
    for packet in packets:
        splices.join(packet)
    assert [packet.pts for packet in packets[:10]] == list(range(1000, 1400, 40))
    assert packets[10].pts == 0
    assert splices.count == 0


def test_tracks_that_start_anew_at_different_packets_stay_in_step():
    video, audio = (track(kind, range(0, 1000, 40), recordings=2) for kind in ("video", "audio"))
    late = [*video[:20], *audio[:30], *video[20:], *audio[30:]]  # sound is five packets ahead of the picture
    times, count = joined(late)
    assert times["audio"] == times["video"] == list(range(0, 2000, 40))
    assert count == 1


def test_subtitles_follow_the_latest_recording():
    first, second = track("video", range(0, 1000, 40), recordings=2), track("subtitle", [500, 100])
    times, _ = joined([*first[:25], second[0], *first[25:30], second[1]])
    assert times["subtitle"] == [500, 1100]


@pytest.mark.parametrize("times", [range(0, 2000, 40), [0, 40, 80, 0, 40, 80, 120], [0, 9000, 9040], [40, 0, 80]])
def test_nothing_else_moves(times):
    assert joined(track("audio", times))[0]["audio"] == list(times)


def test_nothing_moves_where_a_format_does_not_start_anew():
    assert joined(track("video", [0, 1000], recordings=2), possible=False) == (
        {"video": [0, 1000] * 2, "audio": [], "subtitle": []},
        0,
    )


def covered(packets, *, format_name="mov,mp4", start=0.0, duration=2.0, last_picture=None):
    coverage = Coverage(format_name, start=start, duration=duration)
    for packet in packets:
        coverage.packet(packet, video=packet.stream.type == "video" and packet is not COVER)
    if last_picture is not None:
        coverage.picture(last_picture, TICK)
    return coverage


COVER = Packet(0, duration=2000)


def film(first=0, last=2000, step=40, kind="video"):
    return [Packet(at, duration=step, stream=Stream(kind)) for at in range(first, last, step)]


@pytest.mark.parametrize(
    ("packets", "options", "early"),
    [
        (film(), {}, False),
        (film(last=1920), {}, False),
        (film(last=1000), {}, True),
        (film(last=1000) + film(kind="audio"), {}, False),
        (film(last=1000), {"format_name": "mpegts"}, False),
        (film(last=1000), {"duration": None}, False),
        (film(3000, 5000), {"start": 3.0}, False),
        (film(3000, 4000), {"start": 3.0}, True),
        (film(3000, 5000), {"format_name": "matroska,webm", "start": 3.0, "duration": 5.0}, False),
        (film(last=1000, step=500), {}, False),
        ([*film(last=1000), Packet(0, duration=2000, stream=Stream("data"))], {}, True),
        ([*film(last=1000), COVER], {}, True),
        ([*film(last=1000), Packet(1960, is_discard=True)], {}, True),
        (film(), {"last_picture": 1960}, False),
        (film(), {"last_picture": 1000}, True),
    ],
)
def test_a_file_that_ends_early_is_known(packets, options, early):
    assert covered(packets, **options).ended_early() is early


MATROSKA = {"format_name": "matroska,webm"}


def mixed(*parts):
    return sorted((packet for part in parts for packet in part), key=lambda packet: packet.pts)


def test_a_hole_in_picture_and_sound_of_a_matroska_file_is_measured():
    packets = mixed(film(last=800, kind="audio"), film(last=800), film(1200, kind="audio"), film(1200))
    assert covered(packets, **MATROSKA).missing == pytest.approx(0.4)
    assert covered(packets).missing == 0  # other readers tell


@pytest.mark.parametrize(
    "packets",
    [
        mixed(film(kind="audio"), film(last=800), film(1200)),
        mixed(film(last=800, kind="audio"), film(1200, kind="audio"), film()),
        mixed(film(last=800), film(1200)),
        mixed(film(last=400, kind="audio"), film(last=800), film(1200)),
        mixed(film(1500, kind="audio"), film()),
    ],
    ids=["pictures pause", "sound pauses", "no sound", "sound ends early", "sound starts late"],
)
def test_a_pause_of_one_alone_is_no_hole(packets):
    assert covered(packets, **MATROSKA).missing == 0


def test_b_frames_are_no_hole():
    order = zip(range(0, 360, 40), (0, 160, 80, 40, 120, 320, 240, 200, 280), strict=True)
    packets = mixed(film(kind="audio", last=400), [Packet(pts, dts) for dts, pts in order])
    assert covered(packets, **MATROSKA).missing == 0
