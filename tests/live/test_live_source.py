"""A camera of our own and what a source makes of its faults: each is seen, in time, and called by its name."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest
from camera import Camera, make_certificate
from clips import make_clip, picture_frame, read_frames

from streamcolor.errors import SourceDenied, SourceError, SourceLost
from streamcolor.frames import Frame, Passthrough
from streamcolor.sources import live
from streamcolor.sources.live import LiveSource

FREEZE = 1.0  # seconds, as set in these tests; what is promised: a freeze is seen within it
CLOSED = 0.2  # seconds within which a closed connection is seen
FIRST = 0.5  # seconds to the first picture, beyond the wait for a key frame
KEY = 0.4  # seconds between key frames of these clips
TICK = 1 / 90_000  # seconds
BUSY = 2.0  # seconds more, for other work on the machine that runs the tests
SENDER = Path(__file__).parent / "sender.py"
PASSWORD = "c4n@ry/p w"  # nothing may ever show it


@contextmanager
def watching(camera, **options):
    """An open source, and an iterator over its items."""
    options = {"freeze": FREEZE, **options}
    source = LiveSource("gate/0", camera.url(), **options)
    try:
        yield source, iter(source)
    finally:
        source.close()


def frames(items, count):
    """The next frames."""
    return list(islice((item for item in items if isinstance(item, Frame)), count))


def loss(items):
    """Read on until the source is lost; returns why, and how many frames came before."""
    seen = []
    with pytest.raises(SourceLost) as caught:
        seen.extend(item for item in items if isinstance(item, Frame))
    return str(caught.value), len(seen)


def picture_planes_of(path):
    """Luma of a clip's tenth picture, as it was recorded."""
    return read_frames(path)[9][1][0].astype(int)


class TestReading:
    @pytest.mark.parametrize("transport", ["tcp", "udp"])
    @pytest.mark.parametrize("auth", ["basic", "digest"])
    def test_a_camera_is_read_over_tcp_and_udp_with_both_kinds_of_password(self, clip, transport, auth):
        with Camera(clip, user="guard", password=PASSWORD, auth=auth) as camera:
            began = time.monotonic()
            with watching(camera, transport=transport) as (source, items):
                assert time.monotonic() - began < FIRST + KEY + BUSY
                info = source.info
                assert (info.width, info.height, info.rate, info.time_base) == (160, 96, 25, Fraction(1, 90_000))
                assert {frame.luma.shape for frame in frames(items, 5)} == {(96, 160)}
                assert source.report().frames == 5
                assert not source.report().complete

    def test_a_camera_is_read_over_tls(self, clip, tmp_path):
        with (
            Camera(clip, certificate=make_certificate(tmp_path / "camera.pem")) as camera,
            watching(camera) as (_, items),
        ):
            assert camera.url().startswith("rtsps://")
            assert frames(items, 3)

    def test_hevc_is_read(self, hevc_clip):
        with Camera(hevc_clip) as camera, watching(camera) as (source, items):
            assert frames(items, 3)
            assert source.info.rate == 25

    def test_an_interlaced_camera_gives_whole_pictures(self, clip_folder):
        name = clip_folder / "interlaced.mp4"
        options = {"qp": "30", "g": "10", "x264-params": "interlaced=1"}
        path = make_clip(name, codec="libx264", size=(160, 96), frames=50, interlaced=True, options=options)
        with Camera(path) as camera, watching(camera) as (_, items):
            taken = frames(items, 10)
        assert all(later.pts > earlier.pts for earlier, later in pairwise(taken))
        lines = taken[-1].luma.astype(int)
        combing = abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean()
        woven = picture_planes_of(path)
        assert combing < 0.7 * abs(woven[1:-1] - (woven[:-2] + woven[2:]) / 2).mean()

    def test_pictures_arrive_when_they_are_taken_on_the_monotonic_clock(self, clip):
        with Camera(clip) as camera, watching(camera) as (_, items):
            taken = frames(items, 30)
        now = time.monotonic()
        assert all(later.pts > earlier.pts for earlier, later in pairwise(taken))
        assert all(-TICK <= frame.captured - frame.pts / 90_000 < BUSY for frame in taken)
        assert now - BUSY < taken[-1].captured <= now
        seconds = (taken[-1].pts - taken[0].pts) / 90_000
        assert seconds == pytest.approx(29 / 25, abs=0.5)

    def test_a_second_connection_goes_on_where_the_first_ended(self, clip):
        with Camera(clip) as camera:
            pts = []
            for _ in range(2):
                with watching(camera) as (_, items):
                    pts += [frame.pts for frame in frames(items, 5)]
        assert pts == sorted(set(pts))

    def test_sound_comes_along_on_the_same_clock(self, clip):
        with Camera(clip, sound=True) as camera, watching(camera) as (source, items):
            assert [stream.type for stream in source.info.copied] == ["audio"]
            heard, seen = [], None
            for item in items:
                if isinstance(item, Passthrough):
                    heard.append(item.packet.pts * item.packet.time_base)
                else:
                    seen = item.pts / 90_000
                if len(heard) == 60:
                    break
            assert all(later > earlier for earlier, later in pairwise(heard))
            assert abs(heard[-1] - seen) < BUSY

    def test_another_freeze_and_options_of_ffmpeg_can_be_given(self, clip):
        with Camera(clip) as camera:
            with watching(camera, options={"rtsp_transport": "udp"}) as (_, items):
                assert frames(items, 2)
            with watching(camera, freeze=0.4) as (_, items):
                frames(items, 2)
                camera.faults.freeze = True
                began = time.monotonic()
                loss(items)
                assert time.monotonic() - began < 0.4 + BUSY


class TestLosing:
    @pytest.mark.parametrize("transport", ["tcp", "udp"])
    @pytest.mark.parametrize("fault", ["freeze", "silent"])
    def test_a_frozen_camera_is_lost_in_time_and_no_old_picture_is_taken_for_a_new_one(self, clip, fault, transport):
        with Camera(clip) as camera, watching(camera, transport=transport) as (_, items):
            taken = frames(items, 5)
            setattr(camera.faults, fault, True)
            began = time.monotonic()
            text, late = loss(items)
            assert time.monotonic() - began < FREEZE + BUSY
            assert "no picture for" in text
            assert late <= 2 + BUSY * 25, taken

    def test_sound_does_not_hide_a_frozen_picture(self, clip):
        with Camera(clip, sound=True) as camera, watching(camera) as (_, items):
            frames(items, 5)
            camera.faults.freeze = True
            began = time.monotonic()
            text, _ = loss(items)
            assert time.monotonic() - began < FREEZE + BUSY
            assert "no picture for" in text

    @pytest.mark.parametrize("transport", ["tcp", "udp"])
    @pytest.mark.parametrize("fault", [Camera.hang_up, Camera.reset, Camera.vanish])
    def test_a_closed_connection_is_seen_at_once(self, clip, fault, transport):
        with Camera(clip) as camera, watching(camera, transport=transport, freeze=60) as (_, items):
            frames(items, 5)
            fault(camera)
            began = time.monotonic()
            text, _ = loss(items)
            assert time.monotonic() - began < CLOSED + BUSY
            assert "closed" in text or "reset" in text.lower()

    def test_another_size_is_the_end_of_a_session(self, clip, larger_clip):
        with Camera(clip) as camera, watching(camera) as (_, items):
            frames(items, 5)
            camera.switch(larger_clip)
            text, late = loss(items)
            assert "the picture has become 320x192 yuv420p, it was 160x96 yuv420p" in text
            assert late < 25

    @pytest.mark.parametrize("clips", [("clip", "hevc_clip"), ("hevc_clip", "clip")])
    def test_another_codec_is_the_end_of_a_session(self, clips, request):
        first, second = map(request.getfixturevalue, clips)
        with Camera(first) as camera, watching(camera) as (source, items):
            frames(items, 5)
            camera.switch(second)
            began = time.monotonic()
            text, _ = loss(items)
            assert time.monotonic() - began < FREEZE + BUSY
            assert "cannot be decoded" in text or "no picture for" in text
            assert source.report().undecodable >= 0

    @pytest.mark.parametrize("transport", ["tcp", "udp"])
    def test_lost_packets_cost_pictures_and_not_the_session(self, clip, transport):
        with Camera(clip) as camera, watching(camera, transport=transport, freeze=3) as (_, items):
            frames(items, 5)
            camera.faults.loss = 0.05
            assert len(frames(items, 60)) == 60

    def test_delayed_packets_cost_nothing(self, clip):
        with Camera(clip) as camera, watching(camera) as (_, items):
            frames(items, 5)
            camera.faults.delay = 0.3
            assert len(frames(items, 40)) == 40

    def test_wrong_bytes_cost_pictures_or_the_session_and_nothing_else(self, clip):
        with Camera(clip) as camera, watching(camera, freeze=3) as (source, items):
            frames(items, 5)
            camera.faults.corrupt = 0.3
            with suppress(SourceLost):
                frames(items, 60)
            assert source.report().frames > 5


class TestNotOpening:
    def refusal(self, camera, kind=SourceError, **url):
        with pytest.raises(kind) as caught:
            LiveSource("gate/0", camera.url(**url), freeze=FREEZE)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        return str(caught.value)

    @pytest.fixture
    def camera(self, clip):
        with Camera(clip, user="guard", password=PASSWORD) as camera:
            yield camera

    @pytest.mark.parametrize("auth", ["basic", "digest"])
    def test_a_wrong_password_is_told_from_every_other_reason(self, camera, auth):
        camera.auth = auth
        assert "401" in self.refusal(camera, SourceDenied, password=PASSWORD[::-1])
        assert "401" in self.refusal(camera, SourceDenied, user="nobody")

    def test_a_missing_stream(self, camera):
        assert "404 Not Found" in self.refusal(camera, path="elsewhere")

    def test_a_camera_that_is_away(self, camera):
        camera.vanish()
        assert "Connection refused" in self.refusal(camera)

    def test_a_camera_that_hangs_up(self, camera):
        camera.faults.refuse = True
        assert "hung up" in self.refusal(camera)

    def test_a_camera_that_never_answers(self, camera, monkeypatch):
        monkeypatch.setattr(live, "OPENING", 0.5)
        camera.faults.stalled = True
        began = time.monotonic()
        assert "no data came within the time limit" in self.refusal(camera)
        assert time.monotonic() - began < 0.5 + BUSY

    def test_a_camera_that_promises_and_sends_nothing(self, camera, monkeypatch):
        monkeypatch.setattr(live, "OPENING", 0.5)
        camera.faults.silent = True
        began = time.monotonic()
        assert "no picture for" in self.refusal(camera)
        assert time.monotonic() - began < 0.5 + FREEZE + BUSY

    def test_a_camera_whose_key_frame_never_comes(self, clip_folder, monkeypatch):
        monkeypatch.setattr(live, "FIRST_PICTURE", 1.0)
        endless = {"qp": "30", "g": "1000"}
        clip = make_clip(clip_folder / "endless.mp4", codec="libx264", size=(160, 96), frames=200, options=endless)
        with Camera(clip) as camera:
            camera._at = 1
            assert "no key frame for 1 s" in self.refusal(camera)

    @pytest.mark.parametrize(("status", "kind"), [(401, SourceDenied), (403, SourceDenied), (404, SourceError)])
    def test_an_http_camera_that_refuses_and_secrets_in_its_query(self, status, kind):
        class Refuse(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_error(status)

            def log_message(self, *_):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            with pytest.raises(SourceError) as caught:
                LiveSource("gate/0", f"http://127.0.0.1:{server.server_port}/video?user=guard&pwd=c4n%40ry&x=1")
            server.shutdown()
            thread.join()
        assert type(caught.value) is kind
        assert "/video?user=guard&pwd=***&x=1: " in str(caught.value)
        assert "c4n" not in str(caught.value)

    def test_a_device_that_is_not_there(self):
        with pytest.raises(SourceError, match="gate/0: cannot open /dev/video99: "):
            LiveSource("gate/0", "/dev/video99")


class TestOtherInputs:
    def test_mpeg_ts_over_udp(self, clip_folder, free_port):
        url = f"udp://127.0.0.1:{free_port}"
        with sending(clip_folder, f"{url}?pkt_size=1316", "mpegts"):
            source = LiveSource("gate/0", url, freeze=FREEZE)
            items = iter(source)
            assert len(frames(items, 10)) == 10
            assert [stream.type for stream in source.info.copied] == ["audio"]
        text, _ = loss(items)
        assert "no picture for" in text
        source.close()

    def test_rtmp(self, clip_folder, free_port):
        url = f"rtmp://127.0.0.1:{free_port}/live/gate"  # FFmpeg plays the server that a camera publishes to
        with sending(clip_folder, url, "flv"):
            source = LiveSource("gate/0", url, freeze=FREEZE, options={"listen": "1"})
            assert len(frames(iter(source), 10)) == 10
            source.close()

    def test_motion_jpeg_over_http(self):
        with motion_jpeg(pictures=12) as url:
            source = LiveSource("gate/0", url, freeze=FREEZE)
            items = iter(source)
            taken = frames(items, 10)
            assert all(frame.captured == pytest.approx(frame.pts / 90_000, abs=1e-4) for frame in taken)
            assert source.info.space.full_range
            assert "no picture for" in loss(items)[0]
            source.close()

    @pytest.mark.parametrize("suffix", [".ts", ".mkv"])
    def test_standard_input_ends_well(self, clip_folder, suffix):
        path = make_clip(clip_folder / f"pipe{suffix}", codec="libx264", frames=30, options={"qp": "30"})
        code = (
            "from streamcolor.sources.live import LiveSource\n"
            "source = LiveSource('gate', '-')\n"
            "print(len(list(source)), source.report().complete)"
        )
        with path.open() as film:
            done = subprocess.run([sys.executable, "-c", code], stdin=film, capture_output=True, text=True, check=True)
        assert done.stdout == "30 True\n"

    def test_standard_input_may_pause(self, clip_folder):
        path = make_clip(clip_folder / "pause.ts", codec="libx264", frames=200, options={"qp": "10"})
        code = (
            "from streamcolor.sources.live import LiveSource\n"
            "source = LiveSource('gate', '-', freeze=0.1)\n"
            "items = iter(source)\n"
            "next(items)\n"
            "print('first', flush=True)\n"
            "print(1 + len(list(items)), source.report().complete)"
        )
        reader = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        data = path.read_bytes()
        reader.stdin.write(data[: len(data) // 2])
        reader.stdin.flush()
        assert reader.stdout.readline() == b"first\n"
        time.sleep(0.5)  # five times as long as a camera may be silent
        rest, _ = reader.communicate(data[len(data) // 2 :])
        assert rest == b"200 True\n"


@pytest.fixture
def free_port():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


@contextmanager
def sending(folder, url, kind):
    """Send a clip with sound in real time, over and over, once somebody listens."""
    path = make_clip(folder / f"{kind}.mp4", codec="libx264", frames=50, audio=1, options={"qp": "30", "g": "10"})
    sender = subprocess.Popen([sys.executable, SENDER, path, url, kind], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        sender.kill()
        sender.wait()


@contextmanager
def motion_jpeg(pictures):
    """A camera's motion JPEG: ten pictures a second, and then silence."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 160, 96, "yuvj420p", Fraction(1, 10)
    jpegs = [bytes(codec.encode(picture_frame(index, (160, 96), "yuvj420p"))[0]) for index in range(pictures)]
    over = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for jpeg in jpegs:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                self.wfile.write(head + jpeg + b"\r\n")
                over.wait(0.1)
            over.wait()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/video.mjpg"
        over.set()
        server.shutdown()
        thread.join()


KEPT = """
import gc, sys
from soak import heap_in_use
from streamcolor.errors import SourceLost
from streamcolor.sources.live import LiveSource
def connect(count):
    for _ in range(count):
        source = LiveSource("gate/0", sys.argv[1])
        try:
            next(iter(source))
        except SourceLost:
            pass
        source.close()
    gc.collect()
    return heap_in_use()
growths = []
before = connect(50)
for _ in range(3):
    after = connect(100)
    growths.append((after - before) / 100)
    before = after
print(min(growths))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc")
def test_a_connection_that_is_over_leaves_nothing_behind(tmp_path):
    clip = make_clip(tmp_path / "clip.ts", size=(64, 64), frames=4, codec="mpeg2video")
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    environment = os.environ | {"PYTHONPATH": str(benchmarks)}
    done = subprocess.run(
        [sys.executable, "-c", KEPT, clip], capture_output=True, text=True, check=True, env=environment
    )
    assert float(done.stdout) < 64, "bytes a connection; a demuxer alone is 150"
