"""`streamcolor run` of a camera, from outside: real processes, a real server, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from camera import Camera
from clips import planes_of
from fakes import Tint, in_thread
from feeding import decoded, wait_until
from networks import write_network
from typer.testing import CliRunner

from streamcolor.cli import app
from streamcolor.cli.live import seconds_of
from streamcolor.engine import Engine
from streamcolor.errors import ConfigError
from streamcolor.live import LiveSettings, live_feed, name_of
from streamcolor.metrics import FeedCounts, Stage, State
from streamcolor.progress import live_line, live_status
from streamcolor.report import as_json
from streamcolor.sinks.broadcast import BroadcastState
from streamcolor.sinks.outlet import OutletState

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "c4nary/&%secret"  # to be found nowhere


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(write_network(tmp_path_factory.mktemp("network") / "toy.onnx"))


@pytest.fixture
def camera(clip):
    with Camera(clip, user="admin", password=PASSWORD) as camera:
        yield camera


@contextmanager
def running(network, *arguments, **keywords):
    """The program, which is ended if the test does not end it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "streamcolor", "run", "--model", network, *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | keywords
    with subprocess.Popen(command, env=environment, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def stop(process, number=signal.SIGTERM):
    """Stop it; gives what it said, and the seconds that it took."""
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate()
    return out, (err or b"").decode(), time.monotonic() - began


def pictures(url, count):
    """Read `count` pictures of an RTSP server: their planes."""
    options = {"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "0"}
    with av.open(url, options=options, timeout=20) as source:
        return [planes_of(frame) for _, frame in zip(range(count), source.decode(video=0), strict=False)]


def grown(path, size=20_000):
    return lambda: Path(path).exists() and Path(path).stat().st_size > size


class TestCamera:
    def test_it_is_colored_into_several_outputs_and_sigterm_leaves_them_whole(self, camera, network, tmp_path):
        outputs = [camera.url("color"), tmp_path / "gate.mp4", tmp_path / "gate.mkv", f"hls:{tmp_path / 'hls'}"]
        report = tmp_path / "report.json"
        with running(network, camera.url(), *outputs, "--json", report) as process:
            wait_until(lambda: "color" in camera.sdps)
            luma, cb, cr = pictures(camera.url("color"), 10)[-1]
            wait_until((tmp_path / "hls" / "stream.m3u8").exists)
            _, err, seconds = stop(process)
        assert process.returncode == 0, err
        assert seconds < 3
        assert luma.shape == (96, 160)
        assert np.abs(cb.astype(int) - 128).mean() + np.abs(cr.astype(int) - 128).mean() > 2, "in color"
        frames = {name: len(decoded(tmp_path / name)) for name in ("gate.mp4", "gate.mkv")}
        said = json.loads(report.read_text())
        assert set(frames.values()) == {said["frames"] + said["cards"]}
        assert [output["state"] for output in said["outputs"]] == ["over"] * 4
        assert said["reconnects"] == 0

    def test_a_kill_leaves_a_playable_file(self, camera, network, tmp_path):
        with running(network, camera.url(), tmp_path / "gate.mp4") as process:
            wait_until(grown(tmp_path / "gate.mp4", size=100_000))
            process.kill()
        assert len(decoded(tmp_path / "gate.mp4")) >= 20

    def test_the_password_is_nowhere(self, camera, network, tmp_path):
        report = tmp_path / "report.json"
        camera.vanish()
        with running(network, camera.url(), camera.url("color"), tmp_path / "a.mkv", "--json", report) as process:
            camera.appear()
            wait_until(grown(tmp_path / "a.mkv"))
            camera.faults.refuse = True
            camera.reset()
            lines = iter(process.stderr)
            seen = [next(lines) for _ in range(3)]  # refused, live, lost
            out, err, _ = stop(process)
        text = b"".join(seen).decode() + out.decode() + err + report.read_text()
        assert "***@" in text
        assert "c4nary" not in text
        assert b"c4nary" not in (tmp_path / "a.mkv").read_bytes()

    @pytest.mark.timeout(90)
    def test_the_output_stream_goes_on_while_the_camera_is_away(self, camera, network):
        with running(network, camera.url(), camera.url("color")) as process:
            wait_until(lambda: "color" in camera.sdps)
            options = {"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "0"}
            with av.open(camera.url("color"), options=options, timeout=20) as source:
                frames = source.decode(video=0)
                next(frames)
                camera.faults.freeze = True
                frozen = time.monotonic()
                while planes_of(next(frames))[0].mean() > 60:
                    pass
                assert time.monotonic() - frozen < 1.5, "a second, and the way through two servers' buffers"
                camera.faults.freeze = False
                while planes_of(next(frames))[0].mean() < 60:
                    pass
            _, err, _ = stop(process)
        assert process.returncode == 0, err

    @pytest.mark.timeout(90)
    def test_a_server_of_the_output_may_go_away_and_come_back(self, clip, network, tmp_path):
        with Camera(clip) as source, Camera(clip) as server:
            report = tmp_path / "report.json"
            arguments = [source.url(), server.url("color"), tmp_path / "whole.mkv", "--json", report]
            with running(network, *arguments) as process:
                wait_until(lambda: "color" in server.sdps)
                server.vanish()
                assert b"cannot write rtsp://" in next(line for line in process.stderr if b"cannot write" in line)
                server.appear()
                wait_until(lambda: len(server.asked("RECORD")) == 2)
                assert len(pictures(server.url("color"), 5)) == 5
                _, err, _ = stop(process)
            said = json.loads(report.read_text())
        assert said["outputs"][0]["reconnects"] == 1, err
        assert said["outputs"][1]["drops"] == 0
        assert "open again" in err

    def test_a_camera_that_changes_its_size_begins_a_new_file(self, camera, larger_clip, network, tmp_path):
        with running(network, camera.url(), tmp_path / "gate.mp4", f"hls:{tmp_path}") as process:
            wait_until(grown(tmp_path / "gate.mp4"))
            camera.switch(larger_clip)
            wait_until(grown(tmp_path / "gate-0001.mp4"))
            stop(process)
        assert process.returncode == 0
        assert {planes[0].shape for _, planes in decoded(tmp_path / "gate.mp4")} == {(96, 160)}
        assert {planes[0].shape for _, planes in decoded(tmp_path / "gate-0001.mp4")} == {(192, 320)}
        assert "#EXT-X-DISCONTINUITY" in (tmp_path / "stream.m3u8").read_text()

    def test_segments_are_cut_by_time(self, camera, network, tmp_path):
        with running(network, camera.url(), tmp_path / "gate.ts", "--segment", "1s") as process:
            wait_until((tmp_path / "gate-0003.ts").exists)
            stop(process)
        spans = []
        for number in (1, 2):
            times = [seconds for seconds, _ in decoded(tmp_path / f"gate-000{number}.ts")]
            spans.append(times[-1] - times[0])
        assert spans == pytest.approx([1, 1], abs=0.3)

    def test_ctrl_c_is_no_failure_either(self, camera, network, tmp_path):
        with running(network, camera.url(), tmp_path / "gate.mkv") as process:
            wait_until(grown(tmp_path / "gate.mkv"))
            _, err, _ = stop(process, signal.SIGINT)
        assert process.returncode == 0
        assert "frames, " in err.splitlines()[-1]

    def test_a_camera_that_is_not_there_is_waited_for(self, camera, network, tmp_path):
        camera.vanish()
        with running(network, camera.url(), tmp_path / "gate.mkv") as process:
            assert b"Connection refused" in next(line for line in process.stderr if b"refused" in line)
            camera.appear()
            wait_until(grown(tmp_path / "gate.mkv"))
            stop(process)
        assert process.returncode == 0


class TestPipes:
    def test_standard_output_is_mpeg_ts_and_ffmpeg_reads_it(self, camera, network):
        with running(network, camera.url(), "-") as process:
            data = process.stdout.read(60_000)
            process.stdout.close()
            err = process.stderr.read().decode()
        assert process.returncode == 1, "its reader left"
        assert err.splitlines()[-1] == "error: cannot write -: Broken pipe"
        with av.open(BytesIO(data)) as source:
            assert source.format.name == "mpegts"
            assert len(list(source.decode(video=0))) > 10

    def test_standard_input_ends_the_run_when_it_ends(self, clip, network, tmp_path):
        stream = tmp_path / "clip.ts"
        with av.open(str(clip)) as source, av.open(str(stream), "w") as output:
            copy = output.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    output.mux(packet)
        with stream.open("rb") as file, running(network, "-", tmp_path / "gate.mkv", stdin=file) as process:
            _, err = process.communicate()
        assert process.returncode == 0, err
        assert decoded(tmp_path / "gate.mkv")


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("film.mkv", "a.mkv", "b.mkv"), "only a camera has several outputs"),
            (("rtsp://host/x", "a.mkv", "--segment", "soon"), "'soon' is no length of time"),
            (("rtsp://host/x", "a.mkv", "--segment", "0.5"), "choose a second or more"),
            (("rtsp://host/x", "a.mkv", "a.mkv"), "a.mkv is named twice"),
            (("rtsp://host/x", "a.avi"), "unknown suffix .avi"),
            (("rtsp://host/x", "a.mkv", "--codec", "ffv1"), "ffv1 is no encoder for live streams"),
            (("rtsp://host/x", "a.mkv", "--hwaccel", "cuda"), "hwaccel cuda is for files"),
            (("rtsp://host/x", "-", "--json", "-"), "cannot hold both"),
        ],
    )
    def test_a_mistake_is_one_line_and_nothing_is_begun(self, tmp_path, monkeypatch, network, arguments, message):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "film.mkv").touch()
        done = CliRunner().invoke(app, ["run", *arguments, "--model", network])
        assert done.exit_code in (1, 2)
        assert message in " ".join(done.output.replace("│", "").split())
        assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]

    @pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600), ("1.5h", 5400)])
    def test_lengths_of_time(self, text, seconds):
        assert seconds_of(text) == seconds

    @pytest.mark.parametrize("text", ["", "m", "10 min", "-5", "1h30"])
    def test_what_is_none(self, text):
        with pytest.raises(ConfigError, match="no length of time"):
            seconds_of(text)

    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("rtsp://a:b@10.0.0.7:554/gate?token=x", "gate"),
            ("rtsp://10.0.0.7", "10.0.0.7"),
            ("/dev/video0", "video0"),
            ("-", "-"),
        ],
    )
    def test_a_camera_is_called_by_the_end_of_its_address(self, url, name):
        assert name_of(url) == name


class TestFeed:
    def test_it_is_live_and_named_and_gives_up_never(self):
        feed, broadcast = live_feed(LiveSettings("gate", "rtsp://host/x"))
        broadcast.close()
        assert (feed.name, feed.live) == ("gate", True)
        assert feed.retry_delays

    def test_but_for_standard_input(self):
        feed, broadcast = live_feed(LiveSettings("-", "-"))
        broadcast.close()
        assert not feed.retry_delays

    @pytest.mark.timeout(120)
    @pytest.mark.slow
    def test_sixteen_of_them_stop_within_three_seconds_with_their_files_whole(self, camera, tmp_path):
        names = [f"gate{number}" for number in range(16)]
        settings = [LiveSettings(name, camera.url(), (str(tmp_path / f"{name}.mp4"),)) for name in names]
        pairs = [live_feed(each) for each in settings]
        engine = Engine(Tint(), batch=4)
        running = in_thread(engine.run, [feed for feed, _ in pairs])
        wait_until(lambda: all(broadcast.snapshot().frames >= 30 for _, broadcast in pairs), seconds=90)
        began = time.monotonic()
        engine.stop()
        running.join()
        for _, broadcast in pairs:
            broadcast.close()
        assert time.monotonic() - began < 3
        for name, (_, broadcast) in zip(names, pairs, strict=True):
            state = broadcast.snapshot()
            assert len(decoded(tmp_path / f"{name}.mp4")) == state.frames + state.cards


class Terminal:
    def __init__(self, *, tty):
        self.text, self._tty = "", tty

    def isatty(self):
        return self._tty

    def write(self, text):
        self.text += text

    def flush(self):
        pass


class TestStatus:
    def counts(self, times, **more):
        counts = FeedCounts(state=State.LIVE, fps=24.96, dropped=3, **more)
        for seconds in times:
            counts.delays.count(seconds)
        return counts

    def test_the_line_tells_of_the_last_second_and_of_what_does_not_work(self):
        before, counts = self.counts([9.0]), self.counts([9.0, 0.03, 0.05])
        state = BroadcastState(outlets=(OutletState("a.mkv", "open"), OutletState("rtsp://***@b", "failed")))
        assert live_line(counts, before, state) == "live, 25.0 fps, 3 dropped, delay 40 ms, rtsp://***@b: failed"
        assert live_line(before, before, BroadcastState()) == "live, 25.0 fps, 3 dropped, delay -"

    def test_a_terminal_keeps_one_line(self):
        terminal = Terminal(tty=True)
        with live_status(terminal) as show:
            show(self.counts([0.02]), BroadcastState())
            show(self.counts([0.02, 0.04]), BroadcastState())
        assert terminal.text.count("\r\x1b[2Klive") == 2
        assert "\n" not in terminal.text
        assert terminal.text.endswith("\r\x1b[2K")

    def test_a_log_gets_no_line(self):
        log = Terminal(tty=False)
        with live_status(log) as show:
            show(self.counts([0.02]), BroadcastState())
        assert log.text == ""

    def test_infinite_delays_do_not_spoil_the_report(self):
        assert json.loads(as_json({"delay": float("inf"), "stage": Stage().wall})) == {"delay": None, "stage": 0.0}
