"""A whole benchmark, small: what it measures, says and draws, and that it can be stopped."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from clips import make_clip
from fakes import FakeSink, FakeSource, info, picture
from typer.testing import CliRunner

from streamcolor.backends import open_backend
from streamcolor.bench import compare
from streamcolor.bench.pipeline import Output, Paced, Pipeline, Watched, Window
from streamcolor.bench.run import Bench, Options
from streamcolor.bench.stages import PREDICTED, Sample, Stages
from streamcolor.bench.summary import charts, shares, summarized, text, verdict
from streamcolor.cli import app
from streamcolor.errors import BackendError, ConfigError, SinkError, SourceError

ENVIRON = dict(os.environ)


def spread(value):
    return {"median": value, "least": value, "most": value}


def cost(wall, cpu):
    return {"wall": spread(wall), "cpu": spread(cpu)}


def measured(**changes):
    stages = {"decode": 2, "shrink": 0.1, "gate": 0.1, "network": 4, "color": 0.1, "enlarge": 0.1, "encode": 10}
    return {
        "machine": {"cores": 2, "cpu": "a cpu", "instructions": [], "python": "3.11", "packages": {"av": "18"}},
        "clip": {"source": "made up", "size": [1280, 720], "frames": 250, "rate": 25},
        "network": {"name": "tiny", "precision": "int8", "backend": "openvino"},
        "encoder": {"codec": "libx264", "preset": "veryfast"},
        "threads": {"decoder": 2, "network": 1, "encoder": 2},
        "rounds": 3,
        "others": 0.0,
        "runs": {"decode": cost(1, 2), "transcode": cost(8, 14), "streamcolor": cost(10, 18)},
        "stages": {name: cost(each, each) for name, each in stages.items()},
        "predicted": 0.5,
        "limit_over_ours": {"cpu": spread(0.78), "wall": spread(0.8)},
        "live": {
            "streams": 2,
            "offered": 100,
            "written": 99,
            "lost": 0.01,
            "delay_ms": {"p50": 5.0, "p95": 9.0, "p99": 12.0},
            "processor": 0.4,
        },
        "peak_mb": 300,
        **changes,
    }


class TestTheSentence:
    def test_when_the_cores_are_busy_the_largest_stage_is_named(self):
        assert verdict(measured()).startswith("All 2 cores are busy, and encode takes")
        assert "--preset" in verdict(measured())

    def test_no_faster_preset_than_the_fastest_is_asked_for(self):
        said = verdict(measured(encoder={"codec": "libx264", "preset": "ultrafast"}))
        assert "--preset" not in said
        assert "hardware encoder" in said

    def test_a_stage_counts_only_for_the_frames_that_need_it(self):
        slow = measured()["stages"] | {"network": cost(30, 30)}
        assert "network takes" in verdict(measured(stages=slow))
        assert "encode takes" in verdict(measured(stages=slow, predicted=0.1))

    def test_idle_cores_mean_that_one_stage_waits_for_another(self):
        runs = measured()["runs"] | {"streamcolor": cost(40, 18)}
        assert verdict(measured(runs=runs)).startswith("The cores are only 22% busy")

    def test_other_programs_are_not_blamed_on_us(self):
        assert verdict(measured(others=0.5)).startswith("Other programs took 50% of the cores")

    def test_an_unknown_share_of_others_is_not_held_against_the_figures(self):
        assert verdict(measured(others=None)) == verdict(measured())


class TestTheFigures:
    def test_speed_follows_from_the_whole_pipeline(self):
        found = summarized(measured())
        assert (found["fps"], found["times_real_time"]) == (100, 4)

    @pytest.mark.parametrize(("wall", "cpu", "cameras"), [(10, 18, 4), (10, 40, 2), (40, 18, 1)])
    def test_cameras_fit_while_there_is_time_on_the_clock_and_on_the_cores(self, wall, cpu, cameras):
        runs = measured()["runs"] | {"streamcolor": cost(wall, cpu)}
        assert summarized(measured(runs=runs))["cameras"] == cameras

    def test_shares_add_up_to_the_whole(self):
        assert sum(shares(measured()).values()) == pytest.approx(18)

    def test_the_table_names_the_limit_the_losses_and_each_stage(self):
        lines = "\n".join(text(summarized(measured())))
        assert "the limit takes 78% of our processor time" in lines
        assert "2 cameras at 25 fps: 1.0% of the frames were lost" in lines
        assert all(f"{name} alone" in lines for name in measured()["stages"])

    def test_backends_stand_side_by_side_and_those_that_failed_say_why(self):
        apart = {"to": "torch fp32", "mean": 0.4, "p99": 2.1}
        works = {"network": cost(2, 2), "streamcolor": cost(10, 18), "ciede2000": apart}
        backends = {"openvino int8": works, "onnx int8": works | {"ciede2000": None}, "torch": {"failed": "no torch"}}
        result = summarized(measured(backends=backends))
        lines = [line.split() for line in text(result)]
        assert ["openvino", "int8", "2.00", "2.00", "100.0", "0.40", "2.10"] in lines
        assert ["onnx", "int8", "2.00", "2.00", "100.0", "-", "-"] in lines
        assert ["torch", "no", "torch"] in lines
        assert [bar.name for bar in charts(result)[1].bars] == ["openvino int8", "onnx int8"]

    def test_the_chart_shows_the_limit_the_whole_and_its_parts(self):
        (chart,) = charts(summarized(measured()))
        assert [bar.name for bar in chart.bars[:3]] == ["transcode (the limit)", "streamcolor", "decode"]
        assert chart.bars[-1].name == "rest"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class TestCameras:
    def test_frames_come_when_they_are_due_and_not_before(self):
        clock = Clock()
        source = FakeSource(script=["frame"] * 4)
        paced = Paced(source, Window(0, 0), late=0.01, clock=clock, sleep=clock.sleep)
        times = [clock.now for _ in paced]
        assert times == pytest.approx([100.01, 100.05, 100.09, 100.13])
        paced.close()
        assert source.closed == 1
        assert paced.report().frames == 4

    def test_a_camera_that_is_late_does_not_wait(self):
        clock = Clock()
        source = FakeSource(script=["frame", lambda: clock.sleep(1), "frame", "frame"])
        paced = Paced(source, Window(0, 0), late=0, clock=clock, sleep=clock.sleep)
        assert [clock.now for _ in paced] == pytest.approx([100, 101.04, 101.04])

    def test_only_frames_of_the_window_count(self):
        frames = [
            picture(pts=number).__class__(**{name: getattr(picture(pts=number), name) for name in NAMES}, captured=when)
            for number, when in enumerate((99.0, 100.0, 101.0, 103.0))
        ]
        window = Window(100, 102)
        paced = Paced(FakeSource(script=frames), window, late=0, clock=Clock(), sleep=lambda _: None)
        sink, clock = FakeSink(), Clock()
        watched = Watched(sink, window, clock=clock)
        watched.open(info())
        clock.now = 102.5
        for frame in paced:
            watched.write(frame)
        watched.finish()
        watched.close()
        assert (window.offered, window.delays) == (2, [2.5, 1.5])
        assert sink.calls == ["open", *["write"] * 4, "finish", "close"]


NAMES = ("stream", "pts", "luma", "chroma", "space")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("bench") / "clip.mkv", frames=75, size=(160, 96))


@pytest.fixture(scope="module")
def backend():
    opened = open_backend()
    yield opened
    opened.close()


class TestThePipeline:
    def test_a_file_is_colored_as_run_would(self, clip, backend, tmp_path):
        pipeline = Pipeline(backend, clip, Output(tmp_path, preset="ultrafast"))
        assert pipeline.color_file().cpu > 0
        assert pipeline.counts.frames == 75
        assert (tmp_path / "out.mkv").stat().st_size > 1000

    def test_cameras_run_side_by_side_and_end(self, clip, backend, tmp_path):
        live = Pipeline(backend, clip, Output(tmp_path, preset="ultrafast")).color_live(2, seconds=3)
        assert live["streams"] == 2
        assert 20 <= live["offered"] <= 60
        assert live["written"] <= live["offered"]
        assert 0 < live["delay_ms"]["p50"] <= live["delay_ms"]["p99"]

    def test_a_stop_ends_cameras_at_once(self, clip, backend, tmp_path):
        pipeline = Pipeline(backend, clip, Output(tmp_path, preset="ultrafast"))
        timer = threading.Timer(0.3, pipeline.stop)
        timer.start()
        assert pipeline.color_live(1, seconds=3)["offered"] == 0
        timer.join()

    def test_a_stop_before_the_start_counts_too(self, clip, backend, tmp_path):
        pipeline = Pipeline(backend, clip, Output(tmp_path, preset="ultrafast"))
        pipeline.stop()
        assert pipeline.color_live(1, seconds=3)["offered"] == 0

    def test_each_stage_is_measured_alone(self, clip, backend, tmp_path):
        sample = Sample.of(clip, 75)
        assert len(sample.frames) == 64
        works = Stages(sample, backend, lambda: Output(tmp_path, preset="ultrafast").sink("stage")).works()
        assert set(PREDICTED) < set(works)
        assert all(work().wall > 0 for work in works.values())
        assert (tmp_path / "stage.mkv").exists()


class TestBackends:
    def test_all_that_work_are_opened_and_the_others_say_why(self, monkeypatch):
        closing = compare.ExitStack()
        monkeypatch.setattr(compare, "BACKENDS", {"openvino": None, "nonsense": None})
        with closing as stack:
            opened, failed = compare.open_all("tiny", stack)
        assert list(opened) == ["openvino int8", "openvino fp32"]
        assert "no backend 'nonsense'" in failed["nonsense"]

    def test_none_that_works_is_an_error(self, monkeypatch):
        monkeypatch.setattr(compare, "BACKENDS", {"nonsense": None})
        with compare.ExitStack() as stack, pytest.raises(BackendError, match="no backend runs tiny"):
            compare.open_all("tiny", stack)

    def test_colors_differ_from_single_precision_by_little_and_from_themselves_by_nothing(self, clip):
        sample = Sample.of(clip, 75)
        with compare.ExitStack() as stack:
            opened, _ = compare.open_all("tiny", stack)
            names = {name: each for name, each in opened.items() if name.startswith("o")}
            apart = compare.differences(names, sample)
            assert compare.prediction(opened["openvino int8"], sample)().wall > 0
        assert apart["onnx fp32"] == {"to": "onnx fp32", "mean": 0, "p99": 0}
        assert apart["openvino fp32"]["mean"] < 0.1
        assert 0 < apart["openvino int8"]["mean"] < 3

    def test_without_single_precision_there_is_nothing_to_compare_with(self, clip, backend):
        assert compare.differences({"openvino int8": backend}, Sample.of(clip, 75)) == {}


class TestOptions:
    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"seconds": 1}, "seconds is 1: choose 3 to 3600"),
            ({"streams": 0, "batch": 999}, "batch is 999: choose 1 to 256; streams is 0"),
            ({"size": "huge"}, "size 'huge'"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, wrong, said):
        with pytest.raises(ConfigError, match=said):
            Options(**wrong)

    def test_an_encoder_that_is_unknown_is_refused_before_the_clip_is_made(self):
        shown = []
        with pytest.raises(SinkError, match="unknown video codec"):
            Bench(Options(codec="libx999"), lambda *step: shown.append(step)).run()
        assert shown == []

    def test_an_input_that_is_missing_is_an_error(self):
        with pytest.raises(SourceError, match="no such file"):
            Bench(Options("missing.mp4")).run()


class TestTheCommand:
    def run(self, *arguments):
        return CliRunner().invoke(app, ["bench", "--size", "160x96", "--seconds", "3", *arguments])

    @pytest.mark.slow
    @pytest.mark.timeout(180)
    def test_it_writes_table_figures_and_chart(self, clip, tmp_path):
        done = self.run(
            str(clip), "--backend", "all", "--json", str(tmp_path / "b.json"), "--chart", f"{tmp_path}/b.png"
        )
        assert done.exit_code == 0, done.output
        found = json.loads((tmp_path / "b.json").read_text())
        assert found["clip"] == {"source": "clip.mkv", "size": [160, 96], "frames": 75, "rate": 25}
        assert found["fps"] > 1
        assert 100 < found["peak_mb"] < 1000
        assert found["backends"]["openvino int8"]["ciede2000"]["mean"] >= 0
        assert found["verdict"] in done.stdout
        assert "round 3 of 3: streamcolor\n" in done.stderr
        assert (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"

    def test_figures_on_standard_output_are_alone_there(self, monkeypatch):
        monkeypatch.setattr(Bench, "run", lambda _: summarized(measured()))
        done = self.run("--json", "-")
        assert json.loads(done.stdout)["fps"] == 100
        assert "All 2 cores" in done.stderr

    def test_quiet_means_quiet(self, monkeypatch):
        monkeypatch.setattr(Bench, "run", lambda _: summarized(measured()))
        done = self.run("--quiet")
        assert (done.exit_code, done.output) == (0, "")

    @pytest.mark.parametrize(
        "arguments",
        [["--chart", "speed.jpg"], ["--json", "no-such-folder/b.json"], ["--size", "huge"], ["--backend", "nonsense"]],
    )
    def test_errors_are_one_line(self, arguments):
        done = self.run(*arguments, "--quiet")
        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("error: ")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_stops_it_and_leaves_nothing(self, tmp_path, number):
        command = [sys.executable, "-m", "streamcolor", "bench", "--size", "160x96", "--seconds", "60"]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**ENVIRON, "TMPDIR": str(tmp_path)}
        ) as run:
            said = []
            for line in run.stderr:
                said.append(line)
                if "streamcolor" in line:
                    run.send_signal(number)
        assert run.returncode == 128 + number
        assert said[-1] == "stopped: nothing was measured to its end\n"
        assert list(tmp_path.iterdir()) == []
