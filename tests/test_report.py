"""The account of a run, for programs and for people."""

import json

import pytest

from streamcolor.metrics import Stage
from streamcolor.report import Report, clock_time


@pytest.fixture
def report():
    return Report(
        version="0.1.0",
        input="in.mkv",
        output="out.mkv",
        model="tiny",
        backend="onnx",
        finished=True,
        complete=False,
        frames=100,
        kept=25,
        reused=10,
        undecodable=2,
        rescaled=0,
        seconds=8.0,
        loading_seconds=0.51234,
        stages={"read": Stage(100, 1.23456, 0.5)},
        warnings=("ein Stück fehlt",),
    )


def test_json_holds_everything(report):
    told = json.loads(report.as_json())
    assert told["frames"] == 100
    assert told["colored"] == 75
    assert told["fps"] == 12.5
    assert told["complete"] is False
    assert told["stages"] == {"read": {"frames": 100, "wall": 1.235, "cpu": 0.5}}
    assert told["warnings"] == ["ein Stück fehlt"]
    assert told["loading_seconds"] == 0.512


def test_the_keys_of_the_json_are_pinned(report):
    names = """version input output model backend finished complete frames kept reused undecodable rescaled
        seconds loading_seconds stages warnings fps colored"""
    assert list(json.loads(report.as_json())) == names.split()


def test_the_summary_is_one_line_with_the_figures(report):
    text = report.summary()
    assert "\n" not in text
    assert text == "out.mkv: 100 frames in 0:08 (12.5 fps, tiny on onnx); 25 were in color already and kept it"


def test_one_frame_is_one_frame(report):
    assert "1 frame in" in Report(**vars(report) | {"frames": 1, "kept": 0}).summary()


def test_a_run_without_time_has_no_speed(report):
    assert Report(**vars(report) | {"seconds": 0.0}).fps == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (3723, "1:02:03")]
)
def test_times_read_as_on_a_clock(seconds, text):
    assert clock_time(seconds) == text
