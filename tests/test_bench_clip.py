"""The clip that is measured with."""

from itertools import islice

import numpy as np
import pytest
from clips import make_clip

from streamcolor.backends import open_backend
from streamcolor.bench.clip import make_up, scene, size_named, take
from streamcolor.colorizer import Colorizer
from streamcolor.errors import ConfigError, SourceError
from streamcolor.frames import ColorSpace, Frame
from streamcolor.sources.av_source import AvSource


def read(path):
    source = AvSource("test", str(path))
    frames = [item for item in source if isinstance(item, Frame)]
    source.close()
    return source, frames


@pytest.mark.parametrize(
    ("text", "size"),
    [("720p", (1280, 720)), ("4K", (3840, 2160)), ("641x481", (640, 480))],
)
def test_a_size_has_a_name_or_two_numbers(text, size):
    assert size_named(text) == size


@pytest.mark.parametrize("text", ["large", "10x10", "99999x100", "x", "720"])
def test_another_size_is_refused(text):
    with pytest.raises(ConfigError, match="choose 360p"):
        size_named(text)


def test_a_made_up_clip_is_gray_and_as_long_as_asked(tmp_path):
    assert make_up(tmp_path / "clip.mp4", seconds=2, size=(160, 96)) == 50
    source, frames = read(tmp_path / "clip.mp4")
    assert (source.info.width, source.info.height, source.info.rate) == (160, 96, 25)
    assert [frame.pts * source.info.time_base * 25 for frame in frames] == list(range(50))
    assert all((plane == 128).all() for frame in frames for plane in frame.chroma)


def test_it_moves_and_is_noisy_and_the_same_each_time():
    first, again = (list(scene(160, 96, 10)) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    still, panned = (np.abs(first[at].astype(int) - first[at + 1]).mean() for at in (0, 8))
    assert 0.5 < still < panned


def test_the_network_is_asked_about_some_of_its_frames_and_not_about_all():
    backend = open_backend()
    colorizer = Colorizer(backend)
    space = ColorSpace()
    gray = np.full((180, 320), 128, np.uint8)
    for number, luma in enumerate(scene(640, 360, 50)):
        colorizer([Frame("a", number, luma, (gray, gray), space, captured=0.0)])
    backend.close()
    assert 0.2 < 1 - colorizer.counts.reused / colorizer.counts.frames < 0.8


def test_a_video_loses_its_color_and_its_odd_edge(tmp_path):
    clip = make_clip(tmp_path / "given.mkv", frames=30, size=(67, 49), gray=False)
    assert take(str(clip), tmp_path / "taken.mp4", seconds=1) == 25
    source, frames = read(tmp_path / "taken.mp4")
    assert (source.info.width, source.info.height) == (66, 48)
    assert all((plane == 128).all() for frame in frames for plane in frame.chroma)


def test_a_short_video_is_shown_again_unless_all_of_it_is_wanted_once(tmp_path):
    clip = make_clip(tmp_path / "given.mkv", frames=10, size=(64, 64))
    assert take(str(clip), tmp_path / "taken.mp4", seconds=1) == 25
    assert take(str(clip), tmp_path / "once.mp4", seconds=None) == 10
    frames = read(tmp_path / "taken.mp4")[1]
    assert np.abs(frames[0].luma.astype(int) - frames[10].luma).mean() < 4


def test_it_is_brought_to_another_size_and_keeps_its_depth(tmp_path):
    clip = make_clip(tmp_path / "given.mkv", frames=5, size=(128, 96), pix_fmt="yuv420p10le")
    take(str(clip), tmp_path / "taken.mp4", seconds=None, size=(64, 64))
    info = read(tmp_path / "taken.mp4")[0].info
    assert (info.width, info.height, info.space.depth) == (64, 64, 10)


def test_a_stop_ends_it_early(tmp_path):
    answers = iter([False] * 5)
    frames = make_up(tmp_path / "clip.mp4", seconds=60, size=(64, 64), halted=lambda: next(answers, True))
    assert frames == 5


def test_what_is_no_video_is_said_in_one_line(tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    with pytest.raises(SourceError):
        take(str(tmp_path / "no.mp4"), tmp_path / "taken.mp4", seconds=1)


def test_a_clip_of_one_picture_can_be_measured_too(tmp_path):
    assert len(list(islice(scene(64, 64, 2), 2))) == make_up(tmp_path / "c.mp4", seconds=0.01, size=(64, 64))
