"""What we write, read by GStreamer and decoded by openh264: nobody of FFmpeg's family has a say."""

import subprocess
import threading
import time
from pathlib import Path

import pytest
from feeding import TICKS, Clock, feed, live_info, wait_until
from sinks_feed import drawn
from test_gstreamer import SYSTEM_PYTHON, _gstreamer  # noqa: F401  # the fixture that skips where it is not installed

from streamcolor.sinks.broadcast import Broadcast
from streamcolor.sinks.destinations import destination

SCRIPT = Path(__file__).parent / "gst_watcher.py"
INFO = live_info((160, 96))


def pictures(lines):
    """[(width, height, mean luma)] of what the watcher printed."""
    return [tuple(map(int, line.split())) for line in lines]


def agree(seen, frames):
    """Whether pictures are those frames, but for an encoder's loss."""
    assert [(width, height) for width, height, _ in seen] == [(160, 96)] * len(frames)
    for (_, _, mean), frame in zip(seen, frames, strict=True):
        assert mean == pytest.approx(frame.luma.mean(), abs=2)


@pytest.mark.parametrize(
    ("name", "demuxer"), [("gate.mp4", "qtdemux"), ("gate.mkv", "matroskademux"), ("gate.ts", "tsdemux")]
)
@pytest.mark.parametrize("segment", [None, 60])
def test_files_and_segments_are_played(tmp_path, name, demuxer, segment):
    clock = Clock()
    broadcast = Broadcast("gate", [destination(str(tmp_path / name), codec="libx264", segment=segment)], clock=clock)
    frames = feed(broadcast, clock, 40, info=INFO)
    broadcast.close()
    (path,) = tmp_path.iterdir()
    agree(play(demuxer, path), frames)


def test_what_a_browser_gets_is_played(tmp_path):
    clock = Clock()
    broadcast = Broadcast("gate", clock=clock)
    viewer = broadcast.subscribe()
    frames = feed(broadcast, clock, 40, info=INFO)
    broadcast.close()
    path = tmp_path / "viewer.mp4"
    path.write_bytes(b"".join(viewer))
    agree(play("qtdemux", path), frames)


def test_segments_of_hls_are_played(tmp_path):
    clock = Clock()
    broadcast = Broadcast("gate", [destination(f"hls:{tmp_path}", codec="libx264")], clock=clock)
    frames = feed(broadcast, clock, 50, info=INFO)
    broadcast.close()
    agree(play("tsdemux", tmp_path / "stream0.ts"), frames[:25])


def test_a_publish_is_taken_and_the_death_of_its_server_seen():
    server = subprocess.Popen([SYSTEM_PYTHON, SCRIPT, "server"], stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline())
    broadcast = Broadcast("gate", [destination(f"rtsp://127.0.0.1:{port}/color", codec="libx264")])
    ended = threading.Event()
    camera = threading.Thread(target=film, args=(broadcast, ended))
    camera.start()
    try:
        seen = pictures(server.stdout.readline() for _ in range(30))
        assert {(width, height) for width, height, _ in seen} == {(160, 96)}
        assert min(mean for _, _, mean in seen) > 60
        server.kill()
        server.wait()
        wait_until(lambda: broadcast.snapshot().outlets[0].state == "failed")
        assert broadcast.snapshot().frames > 30
    finally:
        ended.set()
        camera.join()
        broadcast.close()
        server.kill()
        server.communicate()


def film(broadcast, ended):
    """A camera in real time."""
    sink = broadcast.make_sink()
    sink.open(INFO)
    index = 0
    while not ended.wait(0.04):
        sink.write(drawn(INFO, index, pts=round(time.monotonic() * TICKS)))
        index += 1


def play(demuxer, path):
    done = subprocess.run(
        [SYSTEM_PYTHON, SCRIPT, "file", demuxer, path], capture_output=True, text=True, check=False, timeout=40
    )
    assert done.returncode == 0, done.stderr
    return pictures(done.stdout.splitlines())
