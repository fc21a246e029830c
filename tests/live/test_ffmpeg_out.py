"""What we write, read by the programs ffprobe and ffmpeg: another FFmpeg than the one that wrote it, used as people do.

Needs Debian's ffmpeg, which `.ci/run` installs; skipped without it, unless STREAMCOLOR_REQUIRE_FFMPEG=1 is set.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from camera import Camera
from feeding import Clock, feed, live_info, wait_until
from networks import write_network

from streamcolor.sinks.broadcast import Broadcast
from streamcolor.sinks.destinations import destination

ROOT = Path(__file__).parent.parent.parent
INFO = live_info((160, 96))
FRAMES = 60


@pytest.fixture(scope="module", autouse=True)
def _ffmpeg():
    if shutil.which("ffprobe") and shutil.which("ffmpeg"):
        return
    missing = "ffprobe and ffmpeg are not installed: apt-get install ffmpeg"
    if os.environ.get("STREAMCOLOR_REQUIRE_FFMPEG") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


def probed(url, *options):
    """What ffprobe says of the video, every frame of it decoded, and of the file; it may complain of nothing."""
    command = ["ffprobe", "-v", "error", *options, "-count_frames", "-show_streams", "-show_format", "-of", "json", url]
    done = subprocess.run(map(str, command), capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    (video,) = told["streams"]
    return video, told["format"]


def recorded(output, count=FRAMES):
    clock = Clock()
    broadcast = Broadcast("gate", [destination(str(output), codec="libx264")], clock=clock)
    feed(broadcast, clock, count, info=INFO)
    broadcast.close()


@pytest.mark.parametrize("name", ["gate.mp4", "gate.mov", "gate.mkv", "gate.ts"])
def test_recordings_are_read_to_the_last_frame(tmp_path, name):
    recorded(tmp_path / name)
    video, whole = probed(tmp_path / name)
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 160, 96)
    assert int(video["nb_read_frames"]) == FRAMES
    assert video["has_b_frames"] == 0
    assert float(whole["duration"]) == pytest.approx(FRAMES / 25, abs=0.1)


def test_an_hls_playlist_is_followed_over_its_segments(tmp_path):
    recorded(f"hls:{tmp_path}")
    assert decoding("-i", str(tmp_path / "stream.m3u8")) == (0, "")  # 50 frames, of segments of 25


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "toy.onnx")


@pytest.fixture
def camera(clip):
    with Camera(clip) as camera:
        yield camera


def colored(network, *arguments, **keywords):
    """The program at work on a camera."""
    command = [sys.executable, "-m", "streamcolor", "run", "--model", network, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*map(str, command)], env=environment, stderr=subprocess.DEVNULL, **keywords)


def decoding(*source, **keywords):
    """Decode 50 frames, as far apart as they are, with the program ffmpeg; give what it complains of."""
    command = ["ffmpeg", "-v", "error", "-xerror", *source, "-vsync", "vfr", "-frames:v", "50", "-f", "null", "-"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=60, **keywords)
    return done.returncode, done.stderr


@pytest.mark.timeout(90)
def test_a_published_stream_is_read_from_its_server(camera, network):
    with colored(network, camera.url(), camera.url("color")) as process:
        try:
            wait_until(lambda: "color" in camera.sdps)
            source = ("-rtsp_transport", "tcp", "-i", camera.url("color"))
            assert decoding(*source) == (0, "")
            video, _ = probed(camera.url("color"), "-rtsp_transport", "tcp", "-read_intervals", "%+2")
            assert (video["codec_name"], video["pix_fmt"]) == ("h264", "yuv420p")
            assert 25 <= int(video["nb_read_frames"]) <= 75
        finally:
            process.kill()


@pytest.mark.timeout(90)
def test_it_is_the_source_of_a_pipe(camera, network):
    with colored(network, camera.url(), "-", stdout=subprocess.PIPE) as process:
        try:
            assert decoding("-f", "mpegts", "-i", "-", stdin=process.stdout) == (0, "")
        finally:
            process.kill()
