"""The command line: every word explained, every outcome with its exit code."""

import contextlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
import typer
from clips import cut, make_clip, read_frames
from networks import write_network
from typer.testing import CliRunner

import streamcolor
from streamcolor.cli import app
from streamcolor.wiring import Job

ROOT = Path(__file__).parent.parent
FRAMES = 12


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(write_network(tmp_path_factory.mktemp("network") / "toy.onnx"))


@pytest.fixture
def film(tmp_path):
    return make_clip(tmp_path / "film.mkv", frames=FRAMES, audio=1)


@pytest.fixture
def invoke(film, network, monkeypatch):
    """Run the program in the film's folder, in this process."""
    monkeypatch.chdir(film.parent)

    def invoke(*arguments):
        model = ["--model", network] if arguments[0] == "run" and "--model" not in arguments else []
        return CliRunner().invoke(app, [*arguments, *model])

    return invoke


def program(*arguments, **keywords):
    """Start the program in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "streamcolor", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        **keywords,
    )


class TestHelp:
    def test_every_command_and_every_option_is_explained(self):
        command = typer.main.get_command(app)
        assert list(command.commands) == ["run", "serve", "export", "bench", "models", "doctor"]
        for name, each in command.commands.items():
            assert each.help, name
            for parameter in each.params:
                assert getattr(parameter, "help", None), f"{name} {parameter.name}"

    def test_every_setting_is_an_option(self):
        run = typer.main.get_command(app).commands["run"]
        options = {option for parameter in run.params for option in parameter.opts}
        expected = """--model --backend --codec --crf --preset --saturation --vividness --when-colored --deinterlace
            --hwaccel --lightness --every -y --overwrite --quiet --json"""
        assert set(expected.split()) <= options

    def test_the_exit_codes_and_examples_are_there(self):
        text = CliRunner().invoke(app, ["run", "--help"]).output
        for word in ("130", "143", "damaged", "film-color.mkv", "ffplay"):
            assert word in text

    def test_no_argument_shows_help(self):
        assert "Usage" in CliRunner().invoke(app, []).output

    def test_version(self):
        assert CliRunner().invoke(app, ["--version"]).output == f"streamcolor {streamcolor.__version__}\n"


class TestRun:
    def test_a_good_run_is_0_and_says_what_it_did_on_standard_error(self, invoke, film):
        done = invoke("run", "film.mkv", "out.mkv", "--codec", "ffv1")
        assert done.exit_code == 0
        assert done.stdout == ""
        assert " runs the network toy (fp32), threads: " in done.stderr
        assert f"out.mkv: {FRAMES} frames in 0:0" in done.stderr
        assert len(read_frames(film.with_name("out.mkv"))) == FRAMES

    def test_quiet_says_nothing(self, invoke):
        done = invoke("run", "film.mkv", "out.mkv", "--quiet")
        assert (done.exit_code, done.output) == (0, "")

    def test_the_report_goes_to_a_file(self, invoke):
        assert invoke("run", "film.mkv", "out.mkv", "--json", "report.json").exit_code == 0
        assert json.loads(Path("report.json").read_text())["frames"] == FRAMES

    def test_or_to_standard_output(self, invoke):
        done = invoke("run", "film.mkv", "out.mkv", "--json", "-")
        assert json.loads(done.stdout)["output"] == "out.mkv"

    def test_but_not_both(self, invoke):
        done = invoke("run", "film.mkv", "-", "--json", "-")
        assert done.exit_code == 2
        assert "cannot hold both" in done.stderr

    @pytest.mark.usefixtures("invoke")
    def test_every_setting_arrives(self, monkeypatch):
        seen = []
        monkeypatch.setattr(Job, "__init__", lambda _, settings: seen.append(settings))
        monkeypatch.setattr(Job, "run", lambda *_: pytest.fail("stop here"))
        wishes = {
            "backend": "onnx",
            "codec": "ffv1",
            "crf": 30,
            "preset": "slow",
            "saturation": 0.5,
            "vividness": 0.25,
            "when_colored": "replace",
            "deinterlace": "on",
            "hwaccel": "off",
            "lightness": "exact",
            "every": 3,
        }
        words = [word for name, wish in wishes.items() for word in (f"--{name.replace('_', '-')}", str(wish))]
        with pytest.raises(pytest.fail.Exception):
            CliRunner().invoke(app, ["run", "film.mkv", "out.mkv", "-y", *words], catch_exceptions=False)
        assert {name: getattr(seen[0], name) for name in wishes} == wishes
        assert seen[0].overwrite

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (("none.mkv", "out.mkv"), 1, "error: cannot open none.mkv: no such file or folder"),
            (("film.mkv", "film.mkv"), 2, "name another output"),
            (("film.mkv", "out.mkv", "--crf", "99"), 2, "crf is 99"),
            (("film.mkv", "out.mkv", "--backend", "cuda"), 2, "'cuda' is not one of"),
            (("film.mkv", "out.mkv", "--model", "huge"), 2, "no model 'huge'"),
            (("film.mkv", "out.mkv", "--every", "often"), 2, "neither auto nor a number"),
            (("film.mkv", "out.mkv", "--codec", "nonsense"), 1, "unknown video codec nonsense"),
            (("film.mkv", "out.mkv", "--json", "none/report.json"), 2, "its folder does not exist"),
            (("film.mkv", "out.mkv", "--json", "film.mkv"), 2, "report film.mkv is the input"),
            (("film.mkv",), 2, "Missing argument"),
        ],
    )
    def test_a_mistake_has_its_code_and_one_line(self, invoke, arguments, code, message):
        done = invoke("run", *arguments)
        assert done.exit_code == code
        assert message in " ".join(done.stderr.replace("│", "").split())
        assert "Traceback" not in done.output
        if done.stderr.startswith("error:"):
            assert len(done.stderr.splitlines()) == 1
        assert [path.name for path in Path.cwd().iterdir()] == ["film.mkv"]

    def test_numbers_of_numpy_do_not_spoil_the_report(self, invoke, film):
        make_clip(film, frames=FRAMES, gray=False)
        done = invoke("run", "film.mkv", "out.mkv", "--json", "-")
        assert json.loads(done.stdout)["kept"] == FRAMES
        assert f"{FRAMES} were in color already" in done.stderr

    def test_a_damaged_input_is_3_with_a_warning_and_the_output_is_kept(self, invoke, film):
        cut(film, 0.6)
        done = invoke("run", "film.mkv", "out.mkv", "--json", "report.json")
        assert done.exit_code == 3
        assert "warning: " in done.stderr
        assert 0 < len(read_frames(film.with_name("out.mkv"))) < FRAMES
        assert json.loads(Path("report.json").read_text())["complete"] is False

    def test_a_bug_shows_its_traceback(self, invoke, monkeypatch):
        def fail(*_):
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(Job, "run", fail)
        done = invoke("run", "film.mkv", "out.mkv")
        assert isinstance(done.exception, ZeroDivisionError)


class TestProcess:
    def test_standard_output_holds_the_video_and_nothing_else(self, film, network):
        with program("run", film, "-", "--codec", "ffv1", "--model", network) as running:
            out, err = running.communicate()
        assert running.returncode == 0, err
        with av.open(io.BytesIO(out)) as video:
            assert len(list(video.decode(video=0))) == FRAMES
        assert b"frames in" in err

    def test_a_reader_that_leaves_ends_the_run_with_one_line(self, tmp_path, network):
        film = make_clip(tmp_path / "film.mkv", frames=200, size=(128, 96))
        with program("run", film, "-", "--codec", "ffv1", "--model", network) as running:
            running.stdout.close()
            err = running.stderr.read()
        assert running.returncode == 1
        assert err.count(b"error: ") == 1
        assert b"Traceback" not in err

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_stopped_run_has_its_code_and_leaves_nothing(self, tmp_path, network, number, code):
        film = repeated(make_clip(tmp_path / "clip.mkv", frames=20, size=(320, 240)), times=200)
        folder = tmp_path / "out"
        folder.mkdir()
        with program("run", film, folder / "film.mkv", "--preset", "placebo", "--model", network) as running:
            assert wait_for(lambda: list(folder.iterdir()) or running.poll() is not None)
            running.send_signal(number)
            _, err = running.communicate()
        assert running.returncode == code, err
        assert err.splitlines()[-1] == b"stopped: the output is not kept"
        assert list(folder.iterdir()) == []

    def test_a_silent_server_does_not_hold_up_a_stop(self, tmp_path, network):
        film = make_clip(tmp_path / "film.ts", frames=100, codec="libx264", size=(160, 120)).read_bytes()
        folder = tmp_path / "out"
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
            with program("run", address, folder / "film.mkv", "--model", network) as running:
                connection, _ = server.accept()
                connection.sendall(film[: len(film) * 2 // 3])
                assert wait_for(lambda: list(folder.iterdir()) or running.poll() is not None)
                began = time.monotonic()
                running.send_signal(signal.SIGTERM)
                _, err = running.communicate()
                connection.close()
        assert running.returncode == 143, err
        assert time.monotonic() - began < 15, "the source would be given up after 30 seconds"
        assert list(folder.iterdir()) == []

    def test_a_reader_that_has_stopped_reading_does_not_hold_up_a_stop(self, tmp_path, network):
        film = repeated(make_clip(tmp_path / "clip.mkv", frames=20, size=(320, 240)), times=200)
        with program("run", film, "-", "--codec", "ffv1", "--model", network) as running:
            assert select.select([running.stdout], [], [], 30)[0]
            time.sleep(1)  # until the pipe is full: nobody takes anything out of it
            running.send_signal(signal.SIGTERM)
            assert running.wait(15) == 143

    def test_an_impatient_second_signal_ends_it_the_hard_way(self, tmp_path, network):
        film = repeated(make_clip(tmp_path / "clip.mkv", frames=20, size=(320, 240)), times=200)
        with program("run", film, tmp_path / "out.mkv", "--preset", "placebo", "--model", network) as running:
            assert wait_for(lambda: len(list(tmp_path.iterdir())) > 2 or running.poll() is not None)
            for _ in range(50):
                with contextlib.suppress(ProcessLookupError):
                    running.send_signal(signal.SIGTERM)
            running.communicate()
        assert running.returncode in (143, -signal.SIGTERM)
        assert not (tmp_path / "out.mkv").exists()


class TestOtherCommands:
    def test_doctor_says_what_works_and_why_not(self, invoke):
        done = invoke("doctor")
        assert "streamcolor" in done.stdout
        assert "av 18" in done.stdout
        assert "libx264" in done.stdout
        for backend in ("openvino", "onnx", "torch", "tensorrt", "decoding (NVDEC)", "encoding (h264_nvenc)"):
            assert f"{backend}: " in done.stdout

    def test_models_are_listed_with_what_they_weigh(self, invoke):
        done = invoke("models")
        assert done.exit_code == 0
        assert "MB" in done.stdout


def wait_for(condition, seconds=30):
    """Poll until something is so."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def repeated(clip, times):
    """A long film made of one clip again and again, without encoding it again."""
    target = clip.with_name("film.mkv")
    with av.open(str(clip)) as source, av.open(str(target), "w") as output:
        video = source.streams.video[0]
        packets = [(packet.pts, bytes(packet)) for packet in source.demux(video) if packet.size]
        copy = output.add_stream_from_template(video)
        step = packets[-1][0] + packets[1][0]
        for number in range(times):
            for pts, data in packets:
                packet = av.Packet(data)
                packet.stream, packet.is_keyframe, packet.time_base = copy, True, video.time_base
                packet.pts = packet.dts = pts + number * step
                output.mux(packet)
    return target
