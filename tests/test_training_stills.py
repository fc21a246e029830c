"""Stills come out of videos by random access, and a clip's stills stay together."""

import cv2
import numpy as np
import pytest
from clips import cut, make_clip, read_frames

from training import stills
from training.data import survey
from training.pictures import find_pictures, split
from training.stills import moments, read_still


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "street.mp4"
    return make_clip(path, frames=75, codec="libx264", gray=False, options={"g": "10"})


def lightness(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(float)


def test_a_clip_gives_a_still_a_second_at_places_chosen_by_its_name(clip):
    assert len(moments(clip)) == 3
    assert moments(clip) == moments(clip)
    assert [int(moment * 3) for moment in moments(clip)] == [0, 1, 2]


def test_a_long_film_does_not_rule(clip):
    assert len(moments(clip, most=2)) == 2


@pytest.mark.parametrize("moment", [0.0, 0.31, 0.5, 0.99])
def test_a_still_is_the_frame_of_its_moment(clip, moment):
    frames = [planes[0].astype(float) for _, planes in read_frames(clip)]
    seen = lightness(read_still(clip, moment))
    distances = [np.abs((frame - 16) * 255 / 219 - seen).mean() for frame in frames]
    assert abs(int(np.argmin(distances)) - moment * 75) <= 1


def test_only_one_group_of_pictures_is_decoded(clip, monkeypatch):
    decoded = []

    class Counting:
        def __init__(self, container):
            self._container = container

        def __getattr__(self, name):
            return getattr(self._container, name)

        def decode(self, video):
            for frame in self._container.decode(video):
                decoded.append(frame)
                yield frame

    frame_at = stills._frame_at
    monkeypatch.setattr(stills, "_frame_at", lambda container, moment: frame_at(Counting(container), moment))
    assert read_still(clip, 0.9) is not None
    assert 1 <= len(decoded) <= 11


def test_a_picture_that_was_filmed_sideways_stands_upright(tmp_path):
    path = make_clip(tmp_path / "r.mp4", frames=3, codec="libx264", size=(64, 48), rotation=90)
    assert read_still(path, 0).shape == (64, 48, 3)


def test_videos_lie_among_the_pictures_and_are_split_by_clip(tmp_path):
    (tmp_path / "cam").mkdir()
    for number in range(11):
        make_clip(tmp_path / "cam" / f"{number}.mkv", frames=50, gray=False, size=(32, 32))
    found = find_pictures(tmp_path)
    assert len(found) == 22
    assert {p.source for p in found} == {"cam"}
    training, validation = split(found, [], 0.4)
    assert validation
    assert not {p.name for p in training} & {p.name for p in validation}


def test_a_damaged_video_is_counted_and_named(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    make_clip(tmp_path / "sound.mkv", frames=25, gray=False, size=(32, 32))
    cut(make_clip(tmp_path / "cut.mp4", frames=25, gray=False, codec="libx264", size=(32, 32)))
    (tally,) = survey(find_pictures(tmp_path)).values()
    assert tally.damaged == ["broken.mp4", "cut.mp4"]
    assert tally.usable == 1
