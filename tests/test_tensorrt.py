"""TensorRT as a backend: an engine for every input size, the right file, no fall back, and chosen where it works."""

import json
import logging
from importlib.machinery import ModuleSpec

import numpy as np
import onnx
import pytest
import torch
from networks import CARD, expected, write_network
from onnx import numpy_helper
from runtimes import FakeDevice, FakeTensorRT, plan

from streamcolor import backends
from streamcolor.backends import engine_cache, engines, gpu, known_models, open_backend, tensorrt_backend
from streamcolor.backends.engines import why_not_for
from streamcolor.backends.tensorrt_backend import TensorRTBackend
from streamcolor.errors import BackendError, ConfigError


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("toy") / "toy.onnx")


@pytest.fixture
def built(monkeypatch, tmp_path):
    """A builder that makes plans of the fake runtime; the profiles it was asked for."""
    asked = []

    def build(onnx_bytes, profiles, *, targets, flavor, watch):
        assert (targets, flavor, watch) == ((), "tensorrt_rtx", None)
        weights = {tensor.name: tensor for tensor in onnx.load_from_string(onnx_bytes).graph.initializer}
        assert numpy_helper.to_array(weights["weights.to_half"]).dtype == np.float16
        (light,) = profiles.values()
        asked.append(light)
        return plan(*light.max[2:], batch=light.max[0])

    monkeypatch.setattr(engine_cache, "build", build)
    monkeypatch.setenv("STREAMCOLOR_CACHE", str(tmp_path))
    return asked


@pytest.fixture
def backend(toy, built):  # noqa: ARG001  # engines of the fake runtime are built
    device = FakeDevice()
    return TensorRTBackend(toy, threads=1, trt=FakeTensorRT(device, name="tensorrt_rtx"), device=device)


def lights(count, height=32, width=64):
    return np.random.default_rng(count).uniform(0, 100, (count, 1, height, width)).astype(np.float32)


def test_it_says_what_it_runs(backend, toy):
    network = backend.network
    assert (network.name, network.path, network.stride, network.precision) == ("toy", toy, 32, "fp16")
    assert backend.name == "tensorrt"


@pytest.mark.parametrize("count", [1, 16, 64, 65, 150])
def test_every_picture_of_a_batch_of_any_size_gets_its_own_colors(backend, count):
    light = lights(count)
    prediction = backend.predict(light, vividness=0.5)
    assert np.abs(prediction.ab_N2hw - expected(light, 0.5)).max() < 1e-3
    assert prediction.confidence_N1hw.shape == (count, 1, 8, 16)


def test_a_prediction_outlives_the_next_one(backend):
    first = backend.predict(lights(2), vividness=1).ab_N2hw
    before = first.copy()
    backend.predict(lights(2) / 2, vividness=1)
    assert np.array_equal(first, before)


def test_an_engine_is_built_for_every_input_size_with_room_for_batches(backend, built):
    for height, width in [(32, 64), (64, 64), (32, 64)]:
        light = lights(2, height, width)
        assert np.abs(backend.predict(light, vividness=1).ab_N2hw - expected(light, 1)).max() < 1e-3
    assert [(each.min, each.opt, each.max) for each in built] == [
        ((1, 1, 32, 64), (16, 1, 32, 64), (64, 1, 32, 64)),
        ((1, 1, 64, 64), (16, 1, 64, 64), (64, 1, 64, 64)),
    ]


def test_engines_are_kept_for_the_next_run_and_few_in_memory(backend, built, toy, tmp_path):
    for width in range(1, 7):
        backend.predict(lights(1, 32, 32 * width), vividness=1)
    assert list(backend._sessions) == [(32, 32 * width) for width in range(3, 7)]
    device = FakeDevice()
    again = TensorRTBackend(toy, threads=1, trt=FakeTensorRT(device, name="tensorrt_rtx"), device=device)
    again.predict(lights(1), vividness=1)
    assert len(built) == 6
    assert len(list(tmp_path.rglob("toy-fp16-*x32-*.engine"))) == 6


def test_closing_twice_is_harmless(backend):
    backend.predict(lights(1), vividness=1)
    backend.close()
    backend.close()
    assert not backend._sessions


def test_another_output_size_is_refused(backend, monkeypatch, toy):
    def build(_onnx, profiles, **_):
        content = json.loads(plan(*profiles["light"].max[2:]))
        content["ab"][2] = [-1, 1, 8, 16]
        return json.dumps(content).encode()

    monkeypatch.setattr(engine_cache, "build", build)
    monkeypatch.setattr("runtimes.expected", lambda light, _: light[:, :, ::4, ::4])
    with pytest.raises(BackendError, match=rf"{toy}: ab is \(1, 1, 8, 16\)"):
        backend.predict(lights(1), vividness=1)


def test_a_failure_on_the_gpu_is_an_error_of_ours(backend, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with ...")

    monkeypatch.setattr(tensorrt_backend.Session, "__call__", fail)
    with pytest.raises(BackendError, match=r"toy\.onnx: the GPU failed: CUDA error: an illegal memory access"):
        backend.predict(lights(1), vividness=1)


class TestWhichFileIsRun:
    @pytest.fixture
    def integers(self, tmp_path):
        return write_network(tmp_path / "net.onnx", card={**CARD, "precision": "int8"})

    def test_integers_are_replaced_by_the_file_beside_them(self, integers):
        write_network(integers.with_name("net-fp32.onnx"))
        device = FakeDevice()
        network = TensorRTBackend(integers, threads=1, trt=FakeTensorRT(device), device=device).network
        assert (network.path.name, network.precision) == ("net-fp32.onnx", "fp16")

    def test_integers_alone_are_refused(self, integers):
        with pytest.raises(ConfigError, match=r"int8 and net-fp32\.onnx is not beside it"):
            open_backend("tensorrt", integers)


@pytest.fixture
def has_gpu(monkeypatch):
    monkeypatch.setattr(backends, "why_no_gpu", lambda: "")
    monkeypatch.setattr(backends, "why_no_cuda", lambda: "")
    monkeypatch.setattr(engines, "gpu", lambda: ("GeForce", "8.9"))


@pytest.mark.usefixtures("has_gpu")
class TestAuto:
    def test_takes_tensorrt_where_there_is_a_gpu(self):
        assert backends._fastest() == "tensorrt"

    def test_takes_torch_where_tensorrt_does_not_know_the_gpu(self, monkeypatch, caplog):
        monkeypatch.setattr(engines, "gpu", lambda: ("H200", "9.0"))
        monkeypatch.setattr(engines, "MODULES", {"tensorrt_rtx": ""})
        with caplog.at_level(logging.INFO, "streamcolor"):
            assert backends._fastest() == "torch"
        assert "TensorRT is not used: tensorrt_rtx knows the compute capabilities 7.5, 8.0" in caplog.text

    def test_takes_torch_where_tensorrt_is_not_installed(self, monkeypatch, caplog):
        monkeypatch.setattr(engines, "MODULES", {"tensorrt": "pip install it"})
        with caplog.at_level(logging.INFO, "streamcolor"):
            assert backends._fastest() == "torch"
        assert (
            "TensorRT is not used: TensorRT cannot be used: No module named 'tensorrt': pip install it" in caplog.text
        )

    def test_leaves_a_gpu_alone_that_torch_cannot_use(self, monkeypatch, caplog):
        monkeypatch.setattr(backends, "why_no_cuda", lambda: "torch 2 cannot use the GPU")
        with caplog.at_level(logging.INFO, "streamcolor"):
            assert backends._fastest() in ("openvino", "onnx")
        assert "the GPU is not used: torch 2 cannot use the GPU" in caplog.text

    def test_leaves_a_gpu_alone_where_torch_is_missing(self, monkeypatch, caplog):
        here = {"openvino", "onnxruntime"}
        monkeypatch.setattr(backends, "find_spec", lambda name: ModuleSpec(name, None) if name in here else None)
        with caplog.at_level(logging.INFO, "streamcolor"):
            assert backends._fastest() in ("openvino", "onnx")
        assert "the GPU is not used: torch is not installed: pip install 'streamcolor[tensorrt]'" in caplog.text


class TestWithoutAGpu:
    @pytest.fixture(autouse=True)
    def fresh(self):
        gpu.why_no_gpu.cache_clear()
        gpu.why_no_cuda.cache_clear()
        yield
        gpu.why_no_gpu.cache_clear()
        gpu.why_no_cuda.cache_clear()

    def test_no_driver_is_no_gpu(self, monkeypatch):
        def missing(_name):
            raise OSError("libcuda.so.1: cannot open shared object file")

        monkeypatch.setattr(gpu.ctypes, "CDLL", missing)
        assert gpu.why_no_cuda() == "there is no NVIDIA driver (libcuda.so.1)"
        with pytest.raises(ConfigError, match="no GPU can be used: there is no NVIDIA driver"):
            gpu.gpu()

    def test_a_driver_without_a_gpu_is_none(self, monkeypatch):
        monkeypatch.setattr(
            gpu.ctypes, "CDLL", lambda _name: type("Driver", (), {"cuInit": lambda _self, _flags: 100})()
        )
        assert gpu.why_no_gpu() == "the NVIDIA driver finds no GPU (cuInit gives error 100)"

    def test_a_gpu_needs_a_torch_that_can_use_it(self, monkeypatch):
        monkeypatch.setattr(gpu, "why_no_gpu", lambda: "")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert "cannot use the GPU: install one that is built for CUDA" in gpu.why_no_cuda()
        gpu.why_no_cuda.cache_clear()
        monkeypatch.setattr(gpu, "find_spec", lambda _name: None)
        assert gpu.why_no_cuda() == "a GPU needs torch: pip install torch"

    def test_asking_for_tensorrt_says_why_not_and_runs_nothing_else(self, toy, monkeypatch):
        monkeypatch.setattr(gpu, "why_no_gpu", lambda: "there is no driver")
        with pytest.raises(ConfigError, match="no GPU can be used: there is no driver"):
            open_backend("tensorrt", toy)


def test_a_gpu_that_tensorrt_does_not_know_is_named(toy, monkeypatch):
    monkeypatch.setattr(tensorrt_backend, "gpu", lambda: ("NVIDIA H200", "9.0"))
    monkeypatch.setattr(engines, "MODULES", {"tensorrt_rtx": ""})
    with pytest.raises(ConfigError, match=r"NVIDIA H200: tensorrt_rtx knows the compute capabilities .*, not 9\.0"):
        open_backend("tensorrt", toy)


def test_full_tensorrt_does_not_say_what_it_knows():
    assert why_not_for(FakeTensorRT(None), "9.0") == ""


@pytest.mark.gpu
@pytest.mark.timeout(600)
@pytest.mark.slow
def test_on_a_real_gpu_the_shipped_network_has_the_colors_of_the_processor(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMCOLOR_CACHE", str(tmp_path))
    model = known_models()["tiny-fp32"]
    light = np.repeat(np.repeat(lights(3, 8, 16), 16, axis=2), 16, axis=3)
    here, there = (open_backend(name, model) for name in ("onnx", "tensorrt"))
    for vividness in (0.0, 0.5):
        one, other = (each.predict(light, vividness=vividness) for each in (here, there))
        assert np.abs(one.ab_N2hw - other.ab_N2hw).mean() < 0.1
