"""The same against GStreamer's RTSP server: what our camera takes for granted is checked by somebody else's code.

Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-{base,good,bad,ugly}, which `.ci/run`
installs; skipped without them, unless STREAMCOLOR_REQUIRE_GST=1 is set.
"""

import os
import subprocess
import time
from collections import deque
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from streamcolor.errors import SourceDenied, SourceError, SourceLost
from streamcolor.frames import Passthrough
from streamcolor.sources.live import LiveSource

SYSTEM_PYTHON = "/usr/bin/python3"  # GStreamer's own bindings belong to it
SCRIPT = Path(__file__).parent / "gst_camera.py"
PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)
USER, PASSWORD = "guard", "c4n4ry-pw"
CLOSED = 0.2  # promised: seconds within which a closed connection is seen
BUSY = 3.0  # seconds more, for other work on the machine that runs the tests


@pytest.fixture(scope="module", autouse=True)
def _gstreamer():
    code = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    found = subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return
    missing = f"GStreamer's RTSP server cannot be loaded: apt-get install {PACKAGES}\n{found.stderr}"
    if os.environ.get("STREAMCOLOR_REQUIRE_GST") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def gst_camera(*credentials):
    """The server in a process of its own; gives the process and the part of its address behind user and password."""
    server = subprocess.Popen([SYSTEM_PYTHON, SCRIPT, *credentials], stdout=subprocess.PIPE, text=True)
    try:
        yield server, f"127.0.0.1:{int(server.stdout.readline())}/cam"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_pictures_and_sound_come_over_tcp_and_udp(transport):
    with gst_camera(USER, PASSWORD) as (_, place):
        source = LiveSource("gate/0", f"rtsp://{USER}:{PASSWORD}@{place}", transport=transport)
        frames, sounds = [], []
        for item in source:
            if isinstance(item, Passthrough):
                sounds.append(float(item.packet.pts * item.packet.time_base))
                continue
            frames.append(item)
            if len(frames) == 50:
                break
        assert (source.info.width, source.info.height, source.info.rate) == (320, 180, 25)
        source.close()
    assert len(sounds) > 5, "GStreamer makes packets of 128 ms"
    assert abs(sounds[-1] - frames[-1].pts / 90_000) < 1, "sound and picture are on one clock"
    assert all(later.pts > earlier.pts for earlier, later in pairwise(frames))
    assert frames[-1].luma.std() > 5, "there is a ball in the picture"


def test_a_wrong_password_and_a_wrong_path_are_told_apart():
    with gst_camera(USER, PASSWORD) as (_, place):
        with pytest.raises(SourceDenied, match="401") as caught:
            LiveSource("gate/0", f"rtsp://{USER}:wrong-pw@{place}")
        assert "wrong-pw" not in str(caught.value)
        with pytest.raises(SourceError, match="404") as caught:
            LiveSource("gate/0", f"rtsp://{USER}:{PASSWORD}@{place}-of-another-name")
        assert PASSWORD not in str(caught.value)


def test_a_server_that_dies_is_seen_at_once():
    with gst_camera() as (server, place):
        source = LiveSource("gate/0", f"rtsp://{place}", freeze=60)
        items = iter(source)
        next(items)
        server.kill()
        began = time.monotonic()
        with pytest.raises(SourceLost):
            deque(items, maxlen=0)
        assert time.monotonic() - began < CLOSED + BUSY
        source.close()
