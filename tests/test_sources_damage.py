"""Bad input: what can be decoded comes, what cannot is counted, and the message says what is wrong."""

import socket
import threading
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from clips import cut, damage, make_clip, picture_frame

from streamcolor.errors import SourceError, SourceLost
from streamcolor.frames import Frame, Passthrough
from streamcolor.sources.av_source import AvSource

INTRA = {"g": "1"}
FASTSTART = {"movflags": "faststart"}


def read(path, **options):
    source = AvSource("film", str(path), **options)
    frames = [item for item in source if isinstance(item, Frame)]
    source.close()
    return frames, source.report()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"film: cannot open .*none.mp4: no such file$"):
        AvSource("film", str(tmp_path / "none.mp4"))


def test_a_name_that_is_too_long_is_an_error():
    with pytest.raises(SourceError, match=r"film: cannot open x+\.mp4: "):
        AvSource("film", "x" * 300 + ".mp4")


def test_a_folder_is_not_a_video(tmp_path):
    with pytest.raises(SourceError, match="is a folder, not a video"):
        AvSource("film", str(tmp_path))


def test_an_empty_file_says_so(tmp_path):
    (tmp_path / "film.mp4").touch()
    with pytest.raises(SourceError, match="the file is empty"):
        AvSource("film", str(tmp_path / "film.mp4"))


def test_a_text_is_not_a_video(tmp_path):
    (tmp_path / "film.mp4").write_text("not a film at all\n" * 100)
    with pytest.raises(SourceError, match="not a video that FFmpeg can read"):
        AvSource("film", str(tmp_path / "film.mp4"))


def test_an_mp4_without_its_index_says_why(tmp_path):
    path = cut(make_clip(tmp_path / "film.mp4", codec="libx264"), 0.5)
    with pytest.raises(SourceError, match=r"its index \(moov\) is missing or damaged"):
        AvSource("film", str(path))


def test_a_film_of_which_nothing_decodes_is_an_error(tmp_path):
    path = make_clip(tmp_path / "film.mp4", codec="mpeg4", frames=8)
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat") + 4
    end = data.find(b"moov")
    data[start : end - 4] = bytes(end - 4 - start)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"not one picture of .* can be decoded"):
        AvSource("film", str(path))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("film.mkv", "ffv1", None),
        ("film.mkv", "libx264", INTRA),
        ("film.mp4", "libx264", None),
        ("film.avi", "mjpeg", None),
    ],
)
def test_a_damaged_middle_costs_only_the_middle(tmp_path, name, codec, options, threads):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    clip = make_clip(tmp_path / name, codec=codec, frames=60, pix_fmt=pix_fmt, options=options, audio=1)
    frames, report = read(damage(clip, start=0.4, end=0.5), threads=threads)
    assert 40 < len(frames) < 60
    assert not report.complete
    assert report.warnings
    assert all(later.pts > earlier.pts for earlier, later in pairwise(frames))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("name", "container_options"),
    [("film.mkv", None), ("film.mp4", FASTSTART), ("film.webm", None), ("film.mov", FASTSTART)],
)
def test_a_truncated_film_gives_what_is_there_and_says_that_it_ends_early(tmp_path, name, container_options, threads):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    clip = make_clip(tmp_path / name, codec=codec, frames=50, audio=1, container_options=container_options)
    frames, report = read(cut(clip, 0.6), threads=threads)
    assert 15 < len(frames) < 45
    assert not report.complete
    assert any(
        text.startswith("the file ends early: ") and text.endswith(" of 2.0 s are there") for text in report.warnings
    )


def test_sound_that_was_cut_off_is_noticed_too(tmp_path):
    clip = make_clip(tmp_path / "film.mp4", codec="libx264", frames=50, audio=1, container_options=FASTSTART)
    source = AvSource("film", str(cut(clip, 0.9)))
    assert any(isinstance(item, Passthrough) for item in source)
    assert not source.report().complete


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4", "film.ts", "film.avi", "film.mov"])
@pytest.mark.parametrize("start", [0, 3])
def test_a_good_film_raises_no_alarm(tmp_path, name, start):
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    vfr = not name.endswith("avi")
    clip = make_clip(tmp_path / name, codec=codec, frames=30, audio=1, start=start, audio_start=start, vfr=vfr)
    _, report = read(clip)
    assert (report.warnings, report.complete) == ((), True)


def test_recordings_that_follow_one_another_are_joined_in_step(tmp_path):
    part = make_clip(tmp_path / "part.ts", codec="libx264", frames=50, audio=1)
    path = tmp_path / "film.ts"
    path.write_bytes(part.read_bytes() * 3)
    source = AvSource("film", str(path))
    pictures, sounds = [], []
    for item in source:
        if isinstance(item, Frame):
            pictures.append(item.pts * source.info.time_base)
        else:
            sounds.append(item.packet.pts * item.packet.time_base)
    report = source.report()
    source.close()
    assert len(pictures) == 150
    for times in (pictures, sounds):
        third = len(times) // 3
        lasts = {times[third * 2 + index] - times[third + index] for index in range(third)}
        assert len(lasts) == 1, "the third recording follows the second as a whole"
        assert all(0 < later - earlier < 0.1 for earlier, later in pairwise(times))
    assert pictures[100] - pictures[50] == sounds[len(sounds) // 3 * 2] - sounds[len(sounds) // 3]
    assert "3 recordings follow one another: their times were joined" in report.warnings


@contextmanager
def server(answer, *, hang_up=True):
    """A server on this machine that gives every caller `answer` and hangs up, or says no more."""
    calls = []

    def serve():
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            caller.settimeout(5)
            caller.recv(4096)
            caller.sendall(answer)
            if hang_up:
                caller.close()
            else:
                calls.append(caller)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for caller in calls:
        caller.close()


def test_a_refused_address_is_an_error_without_its_password():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"rtsp://admin:hunter2@127.0.0.1:{port}/live"
    with pytest.raises(
        SourceError, match=r"film: cannot open rtsp://\*\*\*@127.0.0.1:\d+/live: Connection refused"
    ) as caught:
        AvSource("film", url, timeout=5)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_server_that_refuses_says_so_without_the_token():
    with server(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as port:
        with pytest.raises(SourceError, match=r"token=\*\*\*: .*(403|[Ff]orbidden)") as caught:
            AvSource("film", f"http://127.0.0.1:{port}/film.mp4?token=abcdef", timeout=5)
        assert "abcdef" not in str(caught.value)


def test_a_connection_that_breaks_is_a_lost_source(tmp_path):
    data = make_clip(tmp_path / "film.mkv", frames=200, options={"slices": "4"}).read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
    with server(head + data[: len(data) // 2]) as port:
        url = f"http://me:hunter2@127.0.0.1:{port}/film.mkv"
        source = AvSource("film", url, timeout=5, options={"reconnect": "0"})
        with pytest.raises(SourceLost, match=r"film: reading http://\*\*\*@127.0.0.1") as caught:
            list(source)
        assert "hunter2" not in str(caught.value)
        assert source.report().frames > 50
        assert not source.report().complete


def test_a_server_that_falls_silent_is_given_up(tmp_path):
    data = make_clip(tmp_path / "film.mkv", frames=200).read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    with server(b"", hang_up=False) as port, pytest.raises(SourceError, match="no data came within the time limit"):
        AvSource("film", f"http://127.0.0.1:{port}/film.mkv", timeout=0.3)
    with server(head + data[: len(data) // 2], hang_up=False) as port:
        source = AvSource("film", f"http://127.0.0.1:{port}/film.mkv", timeout=0.3)
        with pytest.raises(SourceLost, match="no data came within the time limit"):
            list(source)
        source.close()


def without(path, target, *, lost):
    """Copy the video packet by packet, but for one: as a recorder does that missed it."""
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number != lost:
                packet.stream = stream
                output.mux(packet)
    return target


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.ts"])
def test_hevc_that_refers_to_a_lost_picture_is_shown_damaged_not_withheld(tmp_path, name):
    options = {"g": "10", "x265-params": "log-level=none:bframes=0:scenecut=0"}
    whole = make_clip(tmp_path / "film.mkv", codec="libx265", frames=40, options=options)
    frames, report = read(without(whole, tmp_path / name, lost=12))
    assert len(frames) == 39
    assert not report.complete
    assert any("pictures are damaged" in warning for warning in report.warnings)


def test_another_video_that_lasts_longer_does_not_make_the_film_end_early(tmp_path):
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("ffv1", rate=25, width=32, height=32) for _ in range(2)]
        streams[0].disposition = av.stream.Disposition.default
        for index in range(40):
            for stream in streams if index < 25 else streams[1:]:
                frame = picture_frame(index, (32, 32), "yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    frames, report = read(path)
    assert len(frames) == 25
    assert report.complete
    assert report.warnings == ("video stream 1 is left out: only one is colored",)


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.ts"])
def test_pictures_that_the_decoder_leaves_out_without_an_error_are_counted(tmp_path, name):
    """Behind a lost picture that B-frames are ordered by, FFmpeg drops those that come out of order."""
    options = {"g": "250", "bf": "3", "preset": "medium", "tune": "film"}
    whole = make_clip(tmp_path / "film.mkv", codec="libx264", frames=40, options=options)
    assert read(whole)[1].complete
    frames, report = read(without(whole, tmp_path / name, lost=16))
    assert len(frames) < 39
    assert not report.complete
    assert f"{39 - len(frames)} pictures are missing: they refer to what is lost" in report.warnings


def test_a_film_that_begins_between_key_frames_misses_nothing(tmp_path):
    """What comes before its first picture was never a part of it."""
    options = {"g": "10", "x265-params": "log-level=none:open-gop=1:bframes=3:scenecut=0"}
    whole = make_clip(tmp_path / "film.mkv", codec="libx265", frames=40, options=options)
    path = tmp_path / "cut.ts"
    with av.open(str(whole)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        second = [number for number, packet in enumerate(packets) if packet.is_keyframe][1]
        for packet in packets[second:]:
            packet.stream = stream
            output.mux(packet)
    frames, report = read(path)
    assert 25 <= len(frames) <= 31
    assert report.warnings == ()
    assert report.complete


def test_fields_with_packets_of_their_own_are_not_taken_for_missing_pictures(tmp_path):
    path = make_clip(tmp_path / "film.ts", codec="libx264", frames=10, interlaced=True)
    frames, report = read(path, deinterlace="off")
    assert len(frames) == 10
    assert report.complete
