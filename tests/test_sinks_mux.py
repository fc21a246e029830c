"""Frames come out of a video file as they went in: exact luma, exact times, truthful tags."""

import gc
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from clips import make_clip, read_frames
from sinks_feed import convert, drawn, info_of, write_all, write_drawn

from streamcolor.frames import ColorSpace, ColorTags, Matrix
from streamcolor.sinks.encoders import repair_order
from streamcolor.sinks.mux import Clock, MuxSink

LOSSLESS = {"codec": "libx264", "crf": None, "preset": "ultrafast", "options": {"qp": "0"}}


def assert_same_pictures(path, frames):
    """The file's pictures are these frames, bit by bit."""
    found = read_frames(path)
    assert len(found) == len(frames)
    for (_, planes), frame in zip(found, frames, strict=True):
        for plane, expected in zip(planes, (frame.luma, *frame.chroma), strict=True):
            np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize(
    ("depth", "shift"), [(8, (1, 1)), (8, (1, 0)), (8, (0, 0)), (10, (1, 1)), (10, (0, 0)), (12, (1, 1)), (12, (1, 0))]
)
def test_a_lossless_codec_gives_back_every_bit(tmp_path, depth, shift):
    sink = MuxSink(tmp_path / "a.mkv", codec="ffv1")
    frames = write_drawn(sink, info_of((66, 50), depth=depth, shift=shift))
    assert sink.warnings == ()
    assert_same_pictures(tmp_path / "a.mkv", frames)


@pytest.mark.parametrize("depth", [8, 10])
def test_x264_gets_the_luma_bit_exact(tmp_path, depth):
    path = tmp_path / "a.mp4"
    frames = write_drawn(MuxSink(path, **LOSSLESS), info_of(depth=depth))
    assert_same_pictures(path, frames)


def test_planes_with_padded_rows_are_read_correctly(tmp_path):
    info = info_of((62, 46))
    frame = drawn(info, 0)
    wide = np.zeros((46, 100), np.uint8)
    wide[:, 7:69] = frame.luma
    padded = type(frame)("test", 0, wide[:, 7:69], frame.chroma, frame.space, 0.0)
    write_all(MuxSink(tmp_path / "a.mkv", codec="ffv1"), info, [padded])
    assert_same_pictures(tmp_path / "a.mkv", [frame])


def test_frames_may_be_changed_after_writing(tmp_path):
    """Encoders keep references: what we hand over must be theirs alone."""
    info = info_of()
    sink = MuxSink(tmp_path / "a.mp4", **LOSSLESS)
    expected = [drawn(info, index) for index in range(6)]
    sink.open(info)
    for index in range(6):
        frame = drawn(info, index)
        sink.write(frame)
        frame.luma[:] = 0
        del frame
        gc.collect()
    sink.finish()
    sink.close()
    assert_same_pictures(tmp_path / "a.mp4", expected)


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (1, 1), (3, 1)])
@pytest.mark.parametrize("depth", [8, 10])
def test_odd_sizes_come_out_exactly_with_x264(tmp_path, size, depth):
    path = tmp_path / "a.mp4"
    sink = MuxSink(path, **LOSSLESS)
    frames = write_drawn(sink, info_of(size, depth=depth), 3)
    [warning] = sink.warnings
    assert "odd size" in warning
    assert "ffv1" in warning
    for (_, planes), frame in zip(read_frames(path, planes=1), frames, strict=True):
        np.testing.assert_array_equal(planes[0], frame.luma)


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", "mkv"), ("libvpx-vp9", "webm"), ("mpeg4", "mp4")])
@pytest.mark.parametrize("size", [(63, 47), (1, 1)])
def test_odd_sizes_need_no_change_where_the_codec_holds_them(tmp_path, codec, suffix, size):
    path = tmp_path / f"a.{suffix}"
    sink = MuxSink(path, codec=codec)
    write_drawn(sink, info_of(size), 2)
    assert sink.warnings == ()
    assert [planes[0].shape[::-1] for _, planes in read_frames(path)] == [size, size]


def test_an_8k_picture_is_written(tmp_path):
    path = tmp_path / "a.mp4"
    info = info_of((7680, 4320))
    luma = np.full((4320, 7680), 77, np.uint8)
    chroma = np.full((2160, 3840), 128, np.uint8)
    frame = type(drawn(info_of(), 0))("test", 0, luma, (chroma, chroma), info.space, 0.0)
    write_all(MuxSink(path, preset="ultrafast", threads=1), info, [frame])
    with av.open(str(path)) as found:
        assert (found.streams.video[0].width, found.streams.video[0].height) == (7680, 4320)


def test_depth_that_a_codec_lacks_is_reduced_and_said(tmp_path):
    path = tmp_path / "a.mp4"
    sink = MuxSink(path, **LOSSLESS)
    frames = write_drawn(sink, info_of(depth=12), 2)
    assert sink.warnings == ("libx264 cannot hold 12-bit 4:2:0: written as 10-bit 4:2:0; libx265, ffv1 would keep it",)
    for (_, planes), frame in zip(read_frames(path), frames, strict=True):
        np.testing.assert_array_equal(planes[0], np.minimum(np.rint(frame.luma / 4), 1023))


def test_color_resolution_that_a_codec_lacks_is_reduced_and_said(tmp_path):
    sink = MuxSink(tmp_path / "a.mp4", codec="mpeg4")
    write_drawn(sink, info_of(shift=(0, 0)), 2)
    [warning] = sink.warnings
    assert "cannot hold 8-bit 4:4:4: written as 8-bit 4:2:0" in warning
    assert "libx264" in warning


@pytest.mark.parametrize("full_range", [False, True])
def test_a_codec_of_more_bits_gets_the_same_brightness(tmp_path, full_range):
    path = tmp_path / "a.mov"
    info = info_of(full_range=full_range)
    frames = write_drawn(MuxSink(path, codec="prores_ks"), info, 1)
    (_, planes), *_ = read_frames(path)
    expected = frames[0].luma * (1023 / 255 if full_range else 4.0)
    assert abs(planes[0] - expected).mean() < 6  # ProRes is lossy


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "ts"])
def test_every_container_is_written_and_read(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    sink = MuxSink(path)
    write_drawn(sink, info_of(), 6)
    times = [pts for pts, _ in read_frames(path)]
    assert [moment - times[0] for moment in times] == [Fraction(index, 25) for index in range(6)]
    assert sink.warnings == ()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "ts"])
def test_variable_frame_times_are_kept(tmp_path, suffix):
    pts = [0, 20, 60, 160, 180, 400, 401, 1000]
    path = tmp_path / f"a.{suffix}"
    write_drawn(MuxSink(path), info_of(time_base=Fraction(1, 1000)), pts=pts)
    times = [moment for moment, _ in read_frames(path)]
    assert [moment - times[0] for moment in times] == [Fraction(each, 1000) for each in pts]


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(10_000_000, 333_667)]
)
def test_mp4_keeps_times_of_any_rate_exactly(tmp_path, rate):
    write_drawn(MuxSink(tmp_path / "a.mp4"), info_of(rate=rate), 7)
    assert [moment for moment, _ in read_frames(tmp_path / "a.mp4")] == [index / rate for index in range(7)]


def test_matroska_rounds_to_the_nearest_millisecond(tmp_path):
    rate = Fraction(24000, 1001)
    write_drawn(MuxSink(tmp_path / "a.mkv"), info_of(rate=rate), 30)
    times = [moment for moment, _ in read_frames(tmp_path / "a.mkv")]
    assert times == [Fraction(int(1000 * index / rate + Fraction(1, 2)), 1000) for index in range(30)]


def test_frames_closer_than_a_tick_stay_apart_and_in_order(tmp_path):
    sink = MuxSink(tmp_path / "a.mkv")
    pts = [0, 400, 40_000, 80_000, 80_300]  # microseconds; the first two and the last two share a millisecond
    write_drawn(sink, info_of(time_base=Fraction(1, 1_000_000)), pts=pts)
    assert [moment * 1000 for moment, _ in read_frames(tmp_path / "a.mkv")] == [0, 1, 40, 80, 81]
    assert "2 frames" in sink.warnings[0]
    assert ".mp4" in sink.warnings[0]


@pytest.mark.parametrize("time_base", [Fraction(1, 90_000), Fraction(1001, 30_000), Fraction(1, 3)])
def test_the_clock_changes_nothing_that_has_room(time_base):
    clock = Clock(time_base, Fraction(1, 1000))
    step = max(1, round(Fraction(1, 25) / time_base))
    pts = [7 + step * index for index in range(100)]
    assert [clock.place(each) for each in pts] == pts
    assert clock.moved == 0


@pytest.mark.parametrize("start", [0, 1, 12_345, 10**9])
def test_the_clock_gives_every_frame_its_own_tick(start):
    clock = Clock(Fraction(1, 90_000), Fraction(1, 1000))
    placed = [clock.place(start + 11 * index) for index in range(40)]
    ticks = [int(Fraction(each, 90) + Fraction(1, 2)) for each in placed]
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_the_first_time_is_kept(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_drawn(MuxSink(path), info_of(), pts=[13, 14, 15, 16])
    assert [moment for moment, _ in read_frames(path)] == [Fraction(each, 25) for each in (13, 14, 15, 16)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_last_frame_lasts_as_long_as_the_others(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_drawn(MuxSink(path), info_of(rate=10), 7)
    with av.open(str(path)) as found:
        assert found.duration == 700_000  # microseconds


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "ts"])
@pytest.mark.parametrize("number", [1, 5, 6])
def test_color_tags_are_written(tmp_path, suffix, number):
    path = tmp_path / f"a.{suffix}"
    space = ColorSpace({1: Matrix.BT709, 5: Matrix.BT601, 6: Matrix.BT601}[number], full_range=True)
    info = info_of(full_range=True)
    info = type(info)("test", 64, 48, info.rate, info.time_base, space, tags=ColorTags(1, 13, number))
    write_drawn(MuxSink(path), info, 2)
    frame = _first(path)
    # VP9 has one name for the two numbers of BT.601, and no transfer
    assert frame.colorspace == number or (suffix == "webm" and frame.colorspace in (5, 6))
    assert frame.color_range == 2
    assert frame.color_primaries == 1
    assert frame.color_trc == 13


def test_a_tag_that_does_not_fit_the_matrix_is_corrected(tmp_path):
    """RGB sources (matrix 0) and unspecified ones (2) are Y'CbCr of a known matrix by now."""
    for number in (0, 2, 9):
        info = info_of()
        info = type(info)("test", 64, 48, info.rate, info.time_base, info.space, tags=ColorTags(2, 2, number))
        write_drawn(MuxSink(tmp_path / f"{number}.mp4"), info, 1)
        assert _first(tmp_path / f"{number}.mp4").colorspace == 1


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", None), ("mkv", None), ("ts", None), ("mp4", "libvpx-vp9")])
def test_the_pixel_shape_is_kept(tmp_path, suffix, codec):
    path = tmp_path / f"a.{suffix}"
    sink = MuxSink(path, codec=codec)
    write_drawn(sink, info_of(sample_aspect_ratio=Fraction(16, 15)), 2)
    with av.open(str(path)) as found:
        assert found.streams.video[0].sample_aspect_ratio == Fraction(16, 15)
    assert sink.warnings == ()


@pytest.mark.parametrize(("suffix", "codec"), [("webm", "libvpx-vp9"), ("mkv", "ffv1")])
def test_a_pixel_shape_that_cannot_be_kept_is_said(tmp_path, suffix, codec):
    sink = MuxSink(tmp_path / f"a.{suffix}", codec=codec)
    write_drawn(sink, info_of(sample_aspect_ratio=Fraction(16, 15)), 1)
    assert sink.warnings == (f"pixel shape 16:15 is lost with {codec} here; .mp4 can keep it",)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_rotation_is_kept(tmp_path, suffix, degrees):
    source = make_clip(tmp_path / "source.mp4", frames=2, codec="libx264", rotation=degrees)
    convert(source, MuxSink(tmp_path / f"a.{suffix}"))
    assert abs(_first(tmp_path / f"a.{suffix}").rotation - degrees) % 360 == 0


def test_rotation_that_a_container_cannot_hold_is_said(tmp_path):
    source = make_clip(tmp_path / "source.mp4", frames=2, codec="libx264", rotation=90)
    sink = MuxSink(tmp_path / "a.ts")
    convert(source, sink)
    assert "rotation is lost: .ts cannot hold it; .mp4 and .mkv can" in sink.warnings


def test_webm_gets_a_codec_that_keeps_ten_bits(tmp_path, capfd):
    sink = MuxSink(tmp_path / "a.webm")
    write_drawn(sink, info_of((128, 96), depth=10), 2)
    assert sink.warnings == ()
    assert _first(tmp_path / "a.webm").format.name == "yuv420p10le"
    assert "info" not in capfd.readouterr().err


def test_hevc_is_quiet_and_readable(tmp_path, capfd):
    write_drawn(MuxSink(tmp_path / "a.mp4", codec="libx265", preset="ultrafast"), info_of(), 2)
    assert len(read_frames(tmp_path / "a.mp4")) == 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_film_shorter_than_what_hevc_reorders_has_its_times(tmp_path, frames):
    write_drawn(MuxSink(tmp_path / "a.mp4", codec="libx265"), info_of(), frames)
    assert len(read_frames(tmp_path / "a.mp4")) == frames
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert all(abs(packet.dts * packet.time_base) < 1 for packet in film.demux() if packet.size)


@pytest.mark.parametrize(("codec", "repaired"), [("libx265", [-1, 0, 1, 2]), ("libx264", [1 << 60] * 4)])
def test_decoding_times_that_the_encoder_left_undefined_are_made(codec, repaired):
    packets = [av.Packet(1) for _ in range(4)]
    for packet, pts in zip(packets, (0, 3, 1, 2), strict=True):
        packet.pts, packet.dts = pts, 1 << 60
    repair_order(SimpleNamespace(name=codec), packets)
    assert [packet.dts for packet in packets] == repaired


def test_quality_and_speed_settings_reach_the_encoder(tmp_path):
    noise = info_of((128, 96))
    sizes = {}
    for crf in (10, 40):
        path = tmp_path / f"{crf}.mkv"
        write_drawn(MuxSink(path, crf=crf), noise, 5)
        sizes[crf] = path.stat().st_size
    assert sizes[10] > 2 * sizes[40]


def test_a_system_that_does_not_pin_processes_to_cores_will_do(tmp_path, monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity")
    write_drawn(MuxSink(tmp_path / "a.mp4"), info_of(), 1)
    assert len(read_frames(tmp_path / "a.mp4")) == 1


def test_frames_are_encoded_in_whole_pictures(tmp_path):
    """A picture cut into slices, one for each thread, would cost quality at the same size."""
    path = tmp_path / "a.mp4"
    write_drawn(MuxSink(path, threads=4), info_of((64, 256)), 2)
    with av.open(str(path)) as found:
        packet = next(found.demux(video=0))
        data = bytes(packet)
    slices, place = 0, 0
    while place < len(data):
        slices += data[place + 4] & 31 in (1, 5)
        place += 4 + int.from_bytes(data[place : place + 4], "big")
    assert slices == 1


def _first(path: Path):
    with av.open(str(path)) as found:
        return next(found.decode(video=0))
