"""Every backend runs the same file to the same colors, and says in one line what is wrong with a bad one."""

import logging
import platform
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import CARD, expected, write_network

from streamcolor import backends
from streamcolor.backends import BACKENDS, find_model, one_line, open_backend, torch_backend
from streamcolor.errors import BackendError, ConfigError

RUNTIMES = ["openvino", "onnx"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("toy") / "toy.onnx")


@pytest.fixture(scope="module", params=RUNTIMES)
def backend(request, toy):
    opened = open_backend(request.param, toy, threads=2)
    yield opened
    opened.close()


def lights(count=1, height=32, width=64, seed=0):
    return np.random.default_rng(seed).uniform(0, 100, (count, 1, height, width)).astype(np.float32)


def test_a_network_says_what_it_is(backend, toy):
    network = backend.network
    assert (network.name, network.path, network.stride, network.pixels) == ("toy", toy, 32, 4096)
    assert network.precision == "fp32"
    assert network.vividness == 0.5
    assert network.metadata["license"] == "none"
    assert backend.batch >= 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_picture_of_a_batch_gets_its_own_colors(backend, count):
    light = lights(count)
    prediction = backend.predict(light, vividness=0.5)
    assert prediction.ab_N2hw.shape == (count, 2, 8, 16)
    assert prediction.confidence_N1hw.shape == (count, 1, 8, 16)
    assert prediction.ab_N2hw.dtype == prediction.confidence_N1hw.dtype == np.float32
    assert np.abs(prediction.ab_N2hw - expected(light, 0.5)).max() < 1e-3
    assert prediction.confidence_N1hw.min() >= 0
    assert prediction.confidence_N1hw.max() <= 1


def test_vividness_reaches_the_network(backend):
    assert not backend.predict(lights(), vividness=0).ab_N2hw.any()
    assert backend.predict(lights(), vividness=1).ab_N2hw.any()


def test_a_prediction_outlives_the_next_one(backend):
    first = backend.predict(lights(seed=1), vividness=1).ab_N2hw
    before = first.copy()
    backend.predict(lights(seed=2), vividness=1)
    assert np.array_equal(first, before)


def test_light_is_not_written(backend):
    light = lights(3)
    light.setflags(write=False)
    backend.predict(light, vividness=1)


@given(heights=st.lists(st.integers(1, 4), min_size=1, max_size=4), count=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_input_sizes_may_change_at_any_time(backend, heights, count):
    for height in heights:
        light = lights(count, 32 * height, 32)
        assert np.abs(backend.predict(light, vividness=1).ab_N2hw - expected(light, 1)).max() < 1e-3


def test_only_the_latest_compiled_sizes_are_kept(toy):
    backend = open_backend("openvino", toy, threads=1)
    for width in range(1, 12):
        backend.predict(lights(width=32 * width), vividness=1)
    assert len(backend._requests) == 8
    assert (32, 32 * 11, 1) in backend._requests


def test_both_runtimes_agree(toy):
    light = lights(2, 64, 96)
    one, other = (open_backend(name, toy, threads=1).predict(light, vividness=0.7) for name in RUNTIMES)
    assert np.abs(one.ab_N2hw - other.ab_N2hw).max() < 1e-3
    assert np.abs(one.confidence_N1hw - other.confidence_N1hw).max() < 1e-4


def test_closing_twice_is_harmless(toy):
    for name in RUNTIMES:
        backend = open_backend(name, toy)
        backend.close()
        backend.close()


def test_torch_runs_the_module_that_is_rebuilt_from_the_file(toy, monkeypatch):
    class Halving(torch.nn.Module):
        def forward(self, light, vividness):
            small = torch.nn.functional.avg_pool2d(light, 4)
            return torch.cat([small, -small], 1) * vividness, torch.ones_like(small)

    monkeypatch.setattr(torch_backend, "rebuild", lambda _path: Halving())
    backend = open_backend("torch", toy, threads=1)
    prediction = backend.predict(np.full((2, 1, 32, 32), 50, np.float32), vividness=0.5)
    assert backend.network.stride == 32
    assert np.array_equal(np.unique(prediction.ab_N2hw), [-25, 25])
    backend.close()


def test_auto_says_what_it_chose(toy, caplog):
    with caplog.at_level(logging.INFO, "streamcolor"):
        backend = open_backend("auto", toy)
    assert f"{backend.name} runs the network toy (fp32)" in caplog.text


@pytest.mark.parametrize(
    ("machine", "installed", "chosen"),
    [
        ("x86_64", {"openvino", "onnxruntime"}, "openvino"),
        ("AMD64", {"onnxruntime"}, "onnx"),
        ("aarch64", {"openvino", "onnxruntime"}, "onnx"),
        ("arm64", {"openvino"}, "openvino"),
    ],
)
def test_auto_takes_the_fastest_that_is_installed(monkeypatch, machine, installed, chosen):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(backends, "find_spec", lambda name: ModuleSpec(name, None) if name in installed else None)
    assert backends._fastest() == chosen


def test_nothing_installed_says_what_to_install(monkeypatch, toy):
    monkeypatch.setattr(backends, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"no backend is installed: pip install"):
        open_backend("auto", toy)
    with pytest.raises(ConfigError, match=r"needs the package onnxruntime: pip install 'streamcolor\[onnx\]'"):
        open_backend("onnx", toy)


def test_the_network_leaves_half_of_the_cores_to_others(monkeypatch):
    for cores, threads in [({0}, 1), ({0, 1}, 1), (set(range(8)), 4)]:
        monkeypatch.setattr("os.sched_getaffinity", lambda _pid, cores=cores: cores, raising=False)
        assert backends.default_threads() == threads


def test_unknown_names_come_with_the_known_ones(toy):
    with pytest.raises(ConfigError, match="no backend 'tensorflow': choose auto, openvino, onnx, torch"):
        open_backend("tensorflow", toy)
    with pytest.raises(ConfigError, match=r"no model 'enormous': choose .* or the path of an \.onnx file"):
        open_backend("auto", "enormous")
    with pytest.raises(ConfigError, match=r"no network file 'mine\.onnx'"):
        open_backend("auto", Path("mine.onnx"))


def test_shipped_networks_are_known_by_name(monkeypatch, toy):
    monkeypatch.setattr(backends, "known_models", lambda: {"tiny": toy})
    assert find_model("tiny") == toy
    with pytest.raises(ConfigError, match="choose tiny or the path"):
        find_model("huge")


def one_line_error(name, path):
    with pytest.raises(BackendError) as caught:
        open_backend(name, path, threads=1)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("content", [b"", b"hello world", b"\x00" * 4096], ids=["empty", "text", "zeros"])
def test_a_file_that_is_no_network_is_refused_in_one_line(name, content, tmp_path, capfd):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    one_line_error(name, path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", BACKENDS)
def test_a_truncated_network_is_refused_in_one_line(name, toy, tmp_path):
    path = tmp_path / "short.onnx"
    path.write_bytes(toy.read_bytes()[:-200])
    one_line_error(name, path)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_network_with_other_inputs_is_refused(name, tmp_path):
    path = write_network(tmp_path / "other.onnx", names=("image", "vividness", "ab", "confidence"))
    assert "inputs are image (4 dimensions)" in one_line_error(name, path)
    path = write_network(tmp_path / "other.onnx", names=("light", "vividness", "rgb", "confidence"))
    assert "outputs are rgb (4 dimensions)" in one_line_error(name, path)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_network_with_another_output_size_is_refused(name, tmp_path):
    path = write_network(tmp_path / "other.onnx", reduction=2)
    assert "it should be (1, 2, 8, 8)" in one_line_error(name, path)


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(
    ("card", "complaint"),
    [
        ({}, "no stride"),
        ({**CARD, "pixels": "many"}, "pixels is 'many'"),
        ({**CARD, "stride": "0"}, "stride is '0'"),
        ({**CARD, "vividness": "high"}, "vividness is 'high'"),
    ],
)
def test_a_network_without_its_card_is_refused(name, card, complaint, tmp_path):
    path = write_network(tmp_path / "bare.onnx", card=card)
    assert complaint in one_line_error(name, path)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_size_that_the_network_cannot_take_is_an_error_of_ours(name, toy):
    with pytest.raises(BackendError):
        open_backend(name, toy, threads=1).predict(lights(height=2, width=2), vividness=1)


def test_a_name_that_no_file_can_have_is_an_error_of_ours():
    with pytest.raises(ConfigError, match=r"cannot look at x*\.onnx: File name too long"):
        find_model("x" * 300 + ".onnx")


@pytest.mark.parametrize("name", ["openvino", "onnx", "torch"])
def test_a_network_that_may_not_be_read_is_an_error_of_ours(name, tmp_path, monkeypatch):
    """As root nothing is forbidden, so what forbids is feigned: a folder in the file's place."""
    path = tmp_path / "mine.onnx"
    path.mkdir()
    monkeypatch.setattr(backends, "find_model", lambda _: path)
    with pytest.raises(BackendError, match=r"mine\.onnx"):
        open_backend(name, path)


def test_a_long_complaint_becomes_one_line():
    error = RuntimeError("Exception from src/core.cpp:84:\nCheck 'x' failed at y.cpp:1:\nModel can't be parsed\n\n")
    assert one_line(error) == "Model can't be parsed"
    assert len(one_line(RuntimeError("word " * 1000))) <= 300
    assert one_line(RuntimeError("Check 'only this' failed")) == "Check 'only this' failed"


def test_importing_the_table_imports_no_runtime():
    code = "import sys, streamcolor.backends; print({'openvino', 'onnxruntime', 'torch', 'onnx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


TWO_IN_TURN = """
import gc, os, signal
import numpy as np
from streamcolor.backends import open_backend

received = []
signal.signal(signal.SIGUSR1, lambda number, _: received.append(number))
light = np.full((1, 1, 64, 64), 50, np.float32)
first, second = (open_backend("{name}", "tiny-fp32") for _ in range(2))
for backend in (first, second):
    backend.predict(light, vividness=0.5)
    backend.close()
del first, backend
gc.collect()
del second
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
assert received
"""


@pytest.mark.parametrize("name", ["openvino", "onnx", "torch"])
def test_a_signal_is_survived_when_two_networks_are_gone(name):
    # OpenVINO left a thread with an unmapped stack for its signals: the next one killed the process.
    done = subprocess.run([sys.executable, "-c", TWO_IN_TURN.format(name=name)], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
