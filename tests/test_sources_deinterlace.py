"""Interlaced films come out whole, frame for frame, at their own times."""

import numpy as np
import pytest
from clips import make_clip, picture_frame, read_frames, woven_frame

from streamcolor.frames import Frame
from streamcolor.sources.av_source import AvSource

SIZE = (64, 48)


def read(path, **options):
    source = AvSource("film", str(path), **options)
    frames = [item for item in source if isinstance(item, Frame)]
    source.close()
    return source.info, frames, source.report()


def combing(luma):
    """How much more neighboring lines differ than lines of one field: large in woven pictures."""
    lines = luma.astype(float)
    return np.abs(lines[1:] - lines[:-1]).mean() / np.abs(lines[2:] - lines[:-2]).mean()


def make(path, **options):
    return make_clip(path, codec="libx264", frames=10, gray=False, options={"qp": "0"}, **options)


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4", "film.ts"])
@pytest.mark.parametrize("vfr", [False, True])
def test_a_flagged_film_is_deinterlaced_at_its_own_times(tmp_path, name, vfr):
    path = make(tmp_path / name, interlaced=True, vfr=vfr)
    info, frames, report = read(path)
    expected = read_frames(path)
    assert [frame.pts * info.time_base for frame in frames] == [time for time, _ in expected]
    assert report.complete
    assert any(not np.array_equal(frame.luma, planes[0]) for frame, (_, planes) in zip(frames, expected, strict=True))


def test_deinterlacing_removes_the_comb():
    first, last = woven_frame(3, SIZE, "yuv420p"), picture_frame(6, SIZE, "yuv420p")
    woven, whole = (np.frombuffer(frame.planes[0], np.uint8).reshape(48, -1) for frame in (first, last))
    assert combing(woven) > 1.1 * combing(whole)


def test_lines_of_the_first_field_are_kept(tmp_path):
    path = make(tmp_path / "film.mkv", interlaced=True)
    _, frames, _ = read(path)
    for frame, (_, planes) in zip(frames, read_frames(path), strict=True):
        assert np.array_equal(frame.luma[::2], planes[0][::2])
    assert combing(frames[5].luma) < combing(read_frames(path)[5][1][0])


def test_off_leaves_a_flagged_film_alone(tmp_path):
    path = make(tmp_path / "film.mkv", interlaced=True)
    _, frames, _ = read(path, deinterlace="off")
    assert all(
        np.array_equal(frame.luma, planes[0]) for frame, (_, planes) in zip(frames, read_frames(path), strict=True)
    )


def test_auto_leaves_a_whole_film_alone(tmp_path):
    path = make(tmp_path / "film.mkv")
    _, frames, _ = read(path)
    assert all(
        np.array_equal(frame.luma, planes[0]) for frame, (_, planes) in zip(frames, read_frames(path), strict=True)
    )


def test_on_deinterlaces_what_nobody_flagged(tmp_path):
    path = make(tmp_path / "film.mkv")
    info, frames, _ = read(path, deinterlace="on")
    expected = read_frames(path)
    assert [frame.pts * info.time_base for frame in frames] == [time for time, _ in expected]
    assert not np.array_equal(frames[5].luma, expected[5][1][0])


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "yuv422p10le", "yuv444p12le", "bgr0"])
def test_every_layout_can_be_deinterlaced(tmp_path, pix_fmt):
    path = make_clip(tmp_path / "film.mkv", pix_fmt=pix_fmt, frames=3)
    info, frames, _ = read(path, deinterlace="on")
    assert len(frames) == 3
    assert frames[0].luma.dtype == info.space.dtype
    assert frames[0].luma.max() > 150 << (info.space.depth - 8)


def test_a_single_interlaced_picture_comes_out(tmp_path):
    path = make_clip(tmp_path / "film.mkv", codec="mpeg2video", interlaced=True, frames=1)
    assert len(read(path)[1]) == 1


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 48), (48, 7)])
def test_what_is_too_small_passes_with_a_word(tmp_path, size):
    path = make_clip(tmp_path / "film.mkv", size=size, frames=3)
    _, frames, report = read(path, deinterlace="on")
    assert len(frames) == 3
    assert report.warnings == ("too small to be deinterlaced",)


@pytest.mark.parametrize("size", [(8, 8), (9, 11)])
def test_the_smallest_sizes_that_bwdif_takes(tmp_path, size):
    path = make_clip(tmp_path / "film.mkv", size=size, frames=3)
    _, frames, report = read(path, deinterlace="on")
    assert len(frames) == 3
    assert report.warnings == ()
