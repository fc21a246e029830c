"""Films read by FFmpeg: every picture, every time stamp, every packet of the other streams."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, picture_frame, png_bytes, read_frames, read_packets

from streamcolor.errors import SourceError
from streamcolor.frames import ColorSpace, ColorTags, Frame, Matrix, Passthrough
from streamcolor.sources.av_source import AvSource, decoding_threads

OPEN = []  # streams and packets point into their container


@pytest.fixture(autouse=True)
def _close_all():
    yield
    while OPEN:
        OPEN.pop().close()


def read(path, **options):
    """Iterate a source to its end: (info, frames, passthroughs, report)."""
    source = AvSource("film", str(path), **options)
    OPEN.append(source)
    items = list(source)
    frames = [item for item in items if isinstance(item, Frame)]
    return source.info, frames, [item for item in items if isinstance(item, Passthrough)], source.report()


def times(info, frames):
    return [frame.pts * info.time_base for frame in frames]


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4", "film.ts", "film.webm", "film.mov"])
def test_every_picture_and_time_is_the_decoders(tmp_path, name):
    codec = {".mkv": "ffv1", ".webm": "libvpx-vp9"}.get(Path(name).suffix, "libx264")
    path = make_clip(tmp_path / name, frames=12, codec=codec, gray=False)
    info, frames, _, report = read(path)
    expected = read_frames(path)
    assert times(info, frames) == [time for time, _ in expected]
    for frame, (_, planes) in zip(frames, expected, strict=True):
        assert all(np.array_equal(ours, plane) for ours, plane in zip((frame.luma, *frame.chroma), planes, strict=True))
    assert (report.frames, report.warnings, report.complete) == (12, (), True)


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_variable_rates_b_frames_and_a_late_start_keep_their_times(tmp_path, name):
    options = {"preset": "veryfast", "bf": "3", "qp": "20"}
    path = make_clip(tmp_path / name, codec="libx264", options=options, vfr=True, start=2, audio=1)
    info, frames, _, report = read(path)
    gaps = [Fraction((20, 40, 100)[index % 3], 1000) for index in range(47)]
    assert times(info, frames) == [2 + sum(gaps[:index]) for index in range(48)]
    assert report.complete


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_nothing(tmp_path, threads):
    path = make_clip(tmp_path / "film.mp4", codec="libx264", options={"preset": "veryfast"}, frames=20)
    info, frames, _, _ = read(path, threads=threads)
    expected = read_frames(path)
    assert times(info, frames) == [time for time, _ in expected]
    assert all(np.array_equal(frame.luma, planes[0]) for frame, (_, planes) in zip(frames, expected, strict=True))


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_sound_and_subtitles_come_packet_for_packet(tmp_path, name):
    path = make_clip(tmp_path / name, codec="libx264", audio=2, subtitles=2)
    info, _, carried, _ = read(path)
    assert [stream.type for stream in info.copied] == ["audio", "audio", "subtitle", "subtitle"]
    for kind, start in (("audio", 0), ("subtitles", 2)):
        for position, expected in read_packets(path, kind).items():
            stream = info.copied[start + position]
            ours = [item.packet for item in carried if item.packet.stream_index == stream.index]
            assert [(packet.pts * packet.time_base, bytes(packet)) for packet in ours] == expected


def test_packets_come_in_step_with_the_pictures(tmp_path):
    path = make_clip(tmp_path / "film.mkv", audio=1)
    source = AvSource("film", str(path))
    heard = 0.0
    for item in source:
        if isinstance(item, Passthrough):
            heard = float(item.packet.pts * item.packet.time_base)
        else:
            assert abs(heard - item.pts * source.info.time_base) < 0.2


def test_everything_a_sink_must_know_is_told(tmp_path):
    path = make_clip(
        tmp_path / "film.mkv",
        codec="libx264",
        attachments=1,
        chapters=2,
        metadata={"title": "An old film"},
        stream_metadata={"language": "deu"},
        sar="4/3",
        rotation=90,
        color={"range": 1, "matrix": 5, "primaries": 5, "transfer": 6},
    )
    info, frames, _, _ = read(path)
    assert (info.width, info.height, info.rate, info.chroma_shift) == (64, 48, 25, (1, 1))
    assert info.space == ColorSpace(Matrix.BT601, full_range=False, depth=8) == frames[0].space
    assert info.tags == ColorTags(primaries=5, transfer=6, matrix=5)
    assert info.sample_aspect_ratio == Fraction(4, 3)
    assert info.display_matrix[1] == -info.display_matrix[3] != 0
    assert info.metadata["title"] == "An old film"
    assert [chapter["metadata"]["title"] for chapter in info.chapters] == ["part 1", "part 2"]
    assert [stream.type for stream in info.attachments] == ["attachment"]
    assert info.video.metadata["language"] == "deu"
    assert info.duration == pytest.approx(1.92)
    assert info.pictures == ()


@pytest.mark.parametrize(
    ("pix_fmt", "depth", "shift"),
    [
        ("gray", 8, (1, 1)),
        ("gray12le", 12, (1, 1)),
        ("yuv422p10le", 10, (1, 0)),
        ("yuv444p", 8, (0, 0)),
        ("bgr0", 8, (1, 1)),
    ],
)
def test_depth_and_sampling_are_told_and_kept(tmp_path, pix_fmt, depth, shift):
    info, frames, _, _ = read(make_clip(tmp_path / "film.mkv", pix_fmt=pix_fmt, frames=2))
    assert (info.space.depth, info.chroma_shift) == (depth, shift)
    assert frames[0].luma.dtype == (np.uint8 if depth == 8 else np.uint16)


def test_full_range_mjpeg_is_seen(tmp_path):
    info, _, _, report = read(make_clip(tmp_path / "film.avi", codec="mjpeg", pix_fmt="yuvj420p", frames=4, audio=1))
    assert info.space.full_range
    assert report.complete


def test_lost_transparency_is_told(tmp_path):
    _, _, _, report = read(make_clip(tmp_path / "film.mkv", pix_fmt="yuva420p", frames=2))
    assert report.warnings == ("transparency is dropped (yuva420p)",)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (63, 47)])
def test_tiny_and_odd_films_are_read(tmp_path, size):
    info, frames, _, _ = read(make_clip(tmp_path / "film.mkv", size=size, frames=3))
    assert (info.width, info.height) == size
    assert [frame.luma.shape for frame in frames] == [size[::-1]] * 3


def test_a_cover_picture_is_not_the_film(tmp_path):
    path = make_clip(tmp_path / "film.mp4", codec="libx264", cover=True, chapters=2, frames=10)
    info, frames, carried, report = read(path)
    assert len(frames) == 10
    (cover,) = info.attachments
    assert [item.packet.stream_index for item in carried] == [cover.index]
    assert bytes(carried[0].packet)[1:4] == b"PNG"
    assert info.copied == ()  # the chapters' own track is not data to be copied
    assert report.warnings == ()


def two_films(path, *, default):
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("ffv1", rate=25, width=width, height=32) for width in (32, 64)]
        streams[default].disposition = av.stream.Disposition.default
        for index in range(3):
            for stream in streams:
                frame = picture_frame(index, (stream.width, 32), "yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("default", [0, 1])
def test_of_two_films_the_default_is_taken_and_the_other_named(tmp_path, default):
    info, frames, _, report = read(two_films(tmp_path / "film.mkv", default=default))
    assert (info.width, len(frames)) == ((32, 64)[default], 3)
    assert report.warnings == (f"video stream {1 - default} is left out: only one is colored",)


def with_edit(path, *, start, length):
    """Let every track of an mp4 begin at `start` seconds and last `length`, by its edit list."""
    data = bytearray(path.read_bytes())
    at, track = -1, 0
    while (at := data.find(b"elst", at + 1)) >= 0:
        media, rate = struct.unpack(">iI", data[at + 16 : at + 24])
        scale = (12_800, 48_000)[track]
        data[at + 12 : at + 24] = struct.pack(">IiI", round(length * 1000), media + round(start * scale), rate)
        track += 1
    path.write_bytes(data)
    return path


def test_what_an_edit_list_cuts_does_not_appear_and_sound_stays_in_step(tmp_path):
    options = {"preset": "veryfast", "bf": "2", "qp": "10"}
    path = make_clip(tmp_path / "film.mp4", codec="libx264", options=options, frames=50, audio=1)
    whole = [planes[0] for _, planes in read_frames(path)]
    info, frames, carried, report = read(with_edit(path, start=Fraction(2, 5), length=Fraction(4, 5)))
    assert times(info, frames) == [Fraction(index, 25) for index in range(20)]
    assert all(np.array_equal(frame.luma, luma) for frame, luma in zip(frames, whole[10:30], strict=True))
    moments = [item.packet.pts * item.packet.time_base for item in carried]
    assert -0.05 < moments[0] <= 0 < moments[2]
    assert [item.packet.is_discard for item in carried[:3]] == [True, False, False]  # the first primes the decoder
    assert moments[-1] < 0.8
    assert report.complete


def test_an_avi_with_b_frames_plays_in_order(tmp_path):
    options = {"bf": "2", "qscale": "2"}
    path = make_clip(tmp_path / "film.avi", codec="mpeg4", options=options, frames=20, audio=1)
    info, frames, _, report = read(path)
    steps = np.diff([frame.pts for frame in frames])
    assert set(steps) == {1}
    assert info.time_base == Fraction(1, 25)
    assert frames[0].pts * info.time_base <= 0.08
    assert (len(frames), report.warnings, report.complete) == (20, (), True)


def test_a_raw_stream_without_times_runs_evenly(tmp_path):
    path = make_clip(tmp_path / "film.h264", codec="libx264", frames=10)
    info, frames, _, report = read(path)
    assert np.allclose(np.diff([float(time) for time in times(info, frames)]), 0.04)
    assert len(frames) == 10
    assert report.complete


def test_a_size_that_changes_on_the_way_is_scaled_counted_and_named(tmp_path):
    first = make_clip(tmp_path / "a.ts", codec="libx264", frames=10)
    second = make_clip(tmp_path / "b.ts", codec="libx264", frames=10, start=Fraction(2, 5), size=(128, 96))
    path = tmp_path / "film.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    _, frames, _, report = read(path)
    assert len(frames) == 20
    assert {frame.luma.shape for frame in frames} == {(48, 64)}
    assert report.rescaled == 10
    assert "the picture changes on the way: 10 frames were brought to 64x48 yuv420p" in report.warnings


def test_planes_stay_valid_after_closing(tmp_path):
    path = make_clip(tmp_path / "film.mp4", codec="libx264", frames=8)
    source = AvSource("film", str(path))
    frame = next(item for item in source if isinstance(item, Frame))
    source.close()
    assert np.array_equal(frame.luma, read_frames(path)[0][1][0])


def test_frames_carry_the_session_and_the_moment_of_capture(tmp_path):
    path = make_clip(tmp_path / "film.mkv", frames=2)
    source = AvSource("gate/3", str(path), clock=lambda: 12.5)
    assert {(frame.stream, frame.captured) for frame in source} == {("gate/3", 12.5)}


def test_a_report_before_the_end_does_not_claim_completeness(tmp_path):
    source = AvSource("film", str(make_clip(tmp_path / "film.mkv", frames=5)))
    iterator = iter(source)
    next(iterator)
    assert source.report().frames == 1
    assert not source.report().complete


def test_a_name_that_looks_like_a_protocol_or_a_pattern_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("12:30 gate.mkv", "film%03d.mkv", "été.mkv"):
        make_clip(tmp_path / "plain.mkv", frames=2).rename(tmp_path / name)
        _, frames, _, _ = read(name)
        assert len(frames) == 2


@pytest.mark.parametrize("mode", ["yes", None])
def test_an_unknown_way_to_deinterlace_is_refused(tmp_path, mode):
    path = make_clip(tmp_path / "film.mkv", frames=1)
    with pytest.raises(ValueError, match="auto, on or off"):
        AvSource("film", str(path), deinterlace=mode)


def test_a_film_without_video_is_refused_and_says_what_it_holds(tmp_path):
    path = tmp_path / "sound.mka"
    with av.open(str(path), "w", format="matroska") as output:
        sound = output.add_stream("pcm_s16le", rate=48000)
        frame = av.AudioFrame(samples=1024)
        frame.sample_rate = 48000
        output.add_attachment("cover.png", "image/png", png_bytes())
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    with pytest.raises(SourceError, match=r"film: .*sound.mka has no video stream \(it holds: audio\)"):
        AvSource("film", str(path))


def test_few_threads_decode_since_each_keeps_pictures(monkeypatch):
    for cores, threads in [({0}, 1), ({0, 1}, 1), (set(range(4)), 2), (set(range(64)), 2)]:
        monkeypatch.setattr("os.sched_getaffinity", lambda _pid, cores=cores: cores, raising=False)
        assert decoding_threads() == threads
