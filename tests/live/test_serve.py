"""The program itself: cameras that come and go, signals, and no password anywhere."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import av
import pytest
from camera import Camera
from serving import BUSY, ROOT, serving, until, write_cameras
from websockets.sync.client import connect

CANARY = "c4nary/p w@"
IN_TIME = 3 + 3  # seconds to the end: what is promised, and what other work on the machine may take

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def camera(clip):
    with Camera(clip) as camera:
        yield camera


def program(*words, **environ):
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "streamcolor", "serve", *map(str, words)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environ,
        text=True,
    )


def live(server, *names):
    """Wait until cameras give color."""
    return until(lambda: all(server.feeds().get(name, {}).get("frames") for name in names))


class TestCheck:
    def test_each_camera_is_tried_and_told(self, tmp_path, camera):
        url = camera.url()
        off = {"url": url, "enabled": False}
        done = program(write_cameras(tmp_path / "c.yaml", gate=url, yard=off), "--check")
        assert done.returncode == 0, done.stderr
        gate, yard = done.stdout.splitlines()
        assert re.fullmatch(r"gate  ok      160x96 25 fps, first picture after \d+\.\d s", gate)
        assert yard == "yard  off"

    def test_one_that_fails_makes_it_fail(self, tmp_path, camera):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        file = write_cameras(tmp_path / "c.yaml", gate=camera.url(), away=f"rtsp://u:{port}canary@127.0.0.1:{port}/x")
        done = program(file, "--check")
        assert done.returncode == 1
        assert re.search(r"^away  failed  cannot open rtsp://\*\*\*@127\.0\.0\.1", done.stdout, re.MULTILINE)
        assert "canary" not in done.stdout + done.stderr

    def test_a_file_that_cannot_be_used_is_told_line_by_line(self, tmp_path):
        done = program(write_cameras(tmp_path / "c.yaml", gate={"url": "x", "crf": 99, "colour": 1}), "--check")
        assert done.returncode == 2
        assert done.stderr.count("c.yaml:") == 2
        assert "cameras.gate.crf" in done.stderr
        assert "did you mean" not in done.stderr or "cameras.gate.colour" in done.stderr


class TestSignals:
    def test_only_what_changed_in_the_file_restarts(self, tmp_path, camera):
        file = write_cameras(tmp_path / "c.yaml", gate=camera.url(), yard=camera.url())
        with serving(file) as server:
            assert live(server, "gate", "yard")
            before = server.feeds()
            write_cameras(file, gate=camera.url(), yard={"url": camera.url(), "crf": 35}, barn=camera.url())
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("3 cameras: 2 started, 1 ended, 1 untouched")
            assert live(server, "gate", "yard", "barn")
            after = server.feeds()
            assert after["yard"]["settings"]["crf"] == 35
            assert after["gate"]["frames"] > before["gate"]["frames"]
            assert after["gate"]["reconnects"] == 0

            file.write_text("cameras: {gate: {url: x, crf: bad}}")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("all cameras go on as before")
            assert f"{file}:1: cameras.gate.crf: " in server.log
            assert sorted(server.feeds()) == ["barn", "gate", "yard"]
            assert server.end(signal.SIGTERM)[0] == 0, server.log

    @pytest.mark.slow
    def test_sixteen_cameras_end_in_time_with_their_files_closed(self, tmp_path, camera):
        names = [f"camera{number}" for number in range(16)]
        cameras = {name: {"url": camera.url(), "outputs": str(tmp_path / f"{name}.mp4")} for name in names}
        with serving(write_cameras(tmp_path / "c.yaml", **cameras)) as server:
            assert live(server, *names), server.log
            assert until(lambda: all(feed["frames"] > 10 for feed in server.feeds().values()))
            code, seconds = server.end(signal.SIGTERM)
        assert code == 0, server.log
        assert seconds < IN_TIME
        for name in names:
            with av.open(str(tmp_path / f"{name}.mp4")) as file:
                assert len(list(file.decode(video=0))) > 10

    def test_it_starts_and_ends_with_every_camera_down(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with serving(write_cameras(tmp_path / "c.yaml", gate=f"rtsp://127.0.0.1:{port}/x")) as server:
            assert until(lambda: [feed["state"] for feed in server.feeds().values()] == ["lost"])
            with urllib.request.urlopen(f"{server.address}readyz") as answer:
                assert answer.status == 200
            code, seconds = server.end(signal.SIGINT)
        assert code == 0, server.log
        assert seconds < IN_TIME


def test_the_api_adds_changes_and_removes_cameras_and_the_others_do_not_notice(tmp_path, camera):
    with serving(write_cameras(tmp_path / "c.yaml", gate=camera.url())) as server:
        assert live(server, "gate")
        ask(server, "POST", "", name="yard", url=camera.url())
        assert live(server, "gate", "yard")
        assert until(lambda: camera.watched() == 2)
        ask(server, "PUT", "/yard", url=camera.url(), saturation=2)
        assert server.feeds()["yard"]["reconnects"] == 0
        assert camera.watched() == 2, "colors need no reconnect"
        ask(server, "PUT", "/yard", url=camera.url(), crf=40)
        assert live(server, "yard")
        ask(server, "DELETE", "/yard")
        assert list(server.feeds()) == ["gate"]
        assert until(lambda: camera.watched() == 1)
        before = server.feeds()["gate"]
        assert before["reconnects"] == 0
        assert until(lambda: server.feeds()["gate"]["frames"] > before["frames"])
        assert server.end(signal.SIGTERM)[0] == 0, server.log


@pytest.mark.slow
def test_a_browser_that_never_reads_costs_neither_the_camera_nor_other_browsers_a_picture(tmp_path, larger_clip):
    with Camera(larger_clip) as camera:
        rich = {"url": camera.url(), "crf": 1}  # so much data that no buffer can hide it
        with serving(write_cameras(tmp_path / "c.yaml", gate=rich, yard=camera.url())) as server:
            assert live(server, "gate", "yard")
            host, _, port = server.address.removeprefix("http://").rstrip("/").partition(":")
            with socket.socket() as deaf, connect(f"ws://{host}:{port}/video/gate", max_size=None) as browser:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.connect((host, int(port)))
                deaf.sendall(
                    f"GET /video/gate HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
                )
                assert until(lambda: server.feeds()["gate"]["viewers"] == 2)
                end = time.monotonic() + BUSY
                while server.feeds()["gate"]["viewers"] == 2:
                    assert browser.recv(timeout=2), "the other browser goes on"
                    assert time.monotonic() < end, "it should have been left after ten seconds"
                assert browser.recv(timeout=2)
            assert [feed["reconnects"] for feed in server.feeds().values()] == [0, 0]
            assert server.end(signal.SIGTERM)[0] == 0, server.log


class TestWithoutThePage:
    def test_it_colors_all_the_same(self, tmp_path, camera):
        file = write_cameras(tmp_path / "c.yaml", gate={"url": camera.url(), "outputs": str(tmp_path / "gate.mkv")})
        words = [sys.executable, "-m", "streamcolor", "serve", str(file), "--no-web"]
        environ = os.environ | {"PYTHONPATH": f"{without_extra(tmp_path)}:{ROOT}"}
        with subprocess.Popen(words, stderr=subprocess.PIPE, env=environ, text=True) as running:
            assert until(lambda: (tmp_path / "gate.mkv").exists() or running.poll() is not None)
            running.send_signal(signal.SIGTERM)
            _, said = running.communicate()
        assert running.returncode == 0, said
        assert "the page" not in said

    def test_a_page_without_its_packages_says_what_to_install(self, tmp_path):
        file = write_cameras(tmp_path / "c.yaml")
        done = program(file, "--port", "0", PYTHONPATH=f"{without_extra(tmp_path)}:{ROOT}")
        assert done.returncode == 2
        assert "the page needs starlette, which is not installed: pip install 'streamcolor[web]'" in done.stderr


class TestPassword:
    def test_beyond_localhost_one_is_made_up_and_shown_once(self, tmp_path):
        with serving(write_cameras(tmp_path / "c.yaml"), "--host", "0.0.0.0") as server:
            password = re.search(r"password until the next start: (\S{16,})", server.log)[1]
            with pytest.raises(urllib.error.HTTPError, match="401"):
                server.feeds()
            assert server.feeds(password) == {}
            server.end(signal.SIGTERM)
        assert server.log.count(password) == 1

    def test_it_may_come_from_the_environment(self, tmp_path):
        file = write_cameras(tmp_path / "c.yaml")
        with serving(file, "--host", "0.0.0.0", STREAMCOLOR_PASSWORD="from outside") as server:
            assert server.feeds("from outside") == {}
            assert "from outside" not in server.log

    @pytest.mark.parametrize(("content", "message"), [(None, "No such file"), ("\n", "is empty")])
    def test_a_file_without_one_is_refused(self, tmp_path, content, message):
        file = tmp_path / "password"
        if content is not None:
            file.write_text(content)
        done = program(write_cameras(tmp_path / "c.yaml"), "--password-file", file)
        assert done.returncode == 2
        assert message in done.stderr


FAULTS = ("missing", "refuse", "stalled", "silent")  # from the start
TROUBLES = {  # while it is watched
    "freeze": lambda camera, _: setattr(camera.faults, "freeze", True),
    "corrupt": lambda camera, _: setattr(camera.faults, "corrupt", 0.5),
    "reset": lambda camera, _: camera.reset(),
    "hang_up": lambda camera, _: camera.hang_up(),
    "switch": lambda camera, other: camera.switch(other),
}


@pytest.mark.slow
def test_no_password_is_told_whatever_goes_wrong(tmp_path, clip, hevc_clip):
    secret = tmp_path / "secret"
    secret.write_text(CANARY + "\n")

    def url(camera, path="cam"):
        inside = "${file:secret}"
        return f"rtsp://guard:{inside}@127.0.0.1:{camera.port}/{path}/{inside}?token={inside}&x={inside}"

    with contextlib.ExitStack() as stack:
        cameras = {name: stack.enter_context(Camera(clip)) for name in (*FAULTS, *TROUBLES)}
        for name in FAULTS:
            setattr(cameras[name].faults, name, True)
        cameras["denied"] = stack.enter_context(Camera(clip, user="guard", password="another"))
        each = {name: {"url": url(camera), "freeze": 0.5} for name, camera in cameras.items()}
        each["freeze"]["outputs"] = [url(cameras["refuse"], "out")]
        file = write_cameras(tmp_path / "c.yaml", **each)
        told = [program(file, "--check")]
        with serving(file) as server:
            assert live(server, *TROUBLES), server.log
            for name, trouble in TROUBLES.items():
                trouble(cameras[name], hevc_clip)
            failed = {"missing", "refuse", "stalled", "denied", *TROUBLES} - {"corrupt"}
            assert until(lambda: failed <= {name for name, feed in server.feeds().items() if feed["error"]}), server.log
            assert until(lambda: server.feeds()["freeze"]["outputs"][0]["error"])
            told += [
                ask(server, "PUT", "/reset", url="rtsp://u:c4nary@h"),
                ask(server, "POST", "", name="other", url=CANARY),
            ]
            told += [
                urllib.request.urlopen(server.address + path).read().decode() for path in ("", "api/feeds", "metrics")
            ]
            secret.write_text(CANARY + "\n\x00")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for(f"{len(cameras)} started")
            assert server.end(signal.SIGTERM)[0] == 0, server.log
        told.append(server.log)
    everything = "\n".join(map(str, told))
    assert "denied" in everything
    assert "c4nary" not in everything


def ask(server, method, path, **content):
    """Ask the API for something; give its answer, good or bad."""
    body = json.dumps(content).encode()
    request = urllib.request.Request(f"{server.address}api/feeds{path}", body, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def without_extra(tmp_path):
    """A folder in which the packages of the page cannot be imported."""
    folder = tmp_path / "without"
    folder.mkdir(exist_ok=True)
    for name in ("starlette", "uvicorn", "prometheus_client"):
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name}', name={name!r})")
    return folder
