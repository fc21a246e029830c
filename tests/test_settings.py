"""Settings are checked once, and everything wrong is told at once."""

import inspect
from dataclasses import fields

import pytest

from streamcolor.errors import ConfigError
from streamcolor.settings import Settings


def test_the_defaults_are_fine():
    assert Settings("in.mkv", "out.mkv").model == "tiny"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "cuda"}, "backend is 'cuda': choose auto, openvino, onnx, torch"),
        ({"when_colored": "drop"}, "when_colored is 'drop': choose keep, replace"),
        ({"deinterlace": "yes"}, "deinterlace is 'yes': choose auto, on, off"),
        ({"lightness": "L"}, "lightness is 'L': choose luma, exact"),
        ({"crf": 64}, "crf is 64: choose 0 .best. to 63"),
        ({"crf": -1}, "crf is -1"),
        ({"saturation": -0.5}, "saturation is -0.5: choose 0 .gray. to 4"),
        ({"saturation": float("nan")}, "saturation is nan"),
        ({"vividness": 1.5}, "vividness is 1.5: choose 0 .careful. to 1"),
        ({"every": 0}, "every is 0: choose auto"),
        ({"every": "never"}, "every is 'never': choose auto"),
        ({"every": 1.5}, "every is 1.5"),
        ({"input": ""}, "no input"),
        ({"output": ""}, "no output"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(changes, message):
    with pytest.raises(ConfigError, match=message):
        Settings(**{"input": "a", "output": "b"} | changes)


def test_all_that_is_wrong_is_told_in_one_line():
    with pytest.raises(ConfigError) as caught:
        Settings("a", "b", backend="x", crf=99, vividness=-1)
    text = str(caught.value)
    assert text.count("; ") == 2
    assert "\n" not in text


def test_the_python_call_takes_every_setting_with_the_same_default():
    from streamcolor.wiring import colorize  # noqa: PLC0415  # needs the whole package

    parameters = inspect.signature(colorize).parameters
    for field in fields(Settings):
        assert field.name in parameters
        default = parameters[field.name].default
        assert default == field.default or default is inspect.Parameter.empty
    assert set(parameters) - {field.name for field in fields(Settings)} == {"progress"}
