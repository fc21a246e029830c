"""An engine is fed through the right addresses, shapes and stream, whatever the size of a batch."""

import numpy as np
import pytest
import torch
from networks import expected, write_network
from runtimes import FakeDevice, FakeTensorRT, plan

from streamcolor.backends.engine_session import Gpu, Session
from streamcolor.backends.engines import Profile, build, load_tensorrt
from streamcolor.errors import BackendError

STRENGTH = torch.tensor([0.5])


@pytest.fixture
def device():
    return FakeDevice()


def lights(count, seed=0):
    return torch.rand(count, 1, 32, 64, generator=torch.Generator().manual_seed(seed)) * 100


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_every_picture_of_a_batch_gets_its_own_colors(name, count, device):
    session = Session(FakeTensorRT(device, name=name), plan(batch=6), device)
    light = lights(count)
    for _ in range(3):  # prepared, then run again
        outputs = session(light=light, vividness=STRENGTH)
        assert outputs.keys() == {"ab", "confidence"}
        assert outputs["confidence"].shape == (count, 1, 8, 16)
        assert np.abs(outputs["ab"].numpy() - expected(light.numpy(), 0.5)).max() < 1e-4


def test_batches_of_any_size_need_few_contexts(device):
    trt = FakeTensorRT(device)
    session = Session(trt, plan(batch=6), device)
    for count in (1, 2, 3, 4, 5, 6, 1, 3, 6):
        light = lights(count, seed=count)
        ab = session(light=light, vividness=STRENGTH)["ab"]
        assert np.abs(ab.numpy() - expected(light.numpy(), 0.5)).max() < 1e-4
    used = [context.shapes["light"][0] for context in trt.contexts if context.runs]
    assert used == [1, 2, 4, 6]


def test_all_contexts_share_their_memory(device):
    trt = FakeTensorRT(device)
    session = Session(trt, plan(), device)
    for count in (1, 2, 4):
        session(light=lights(count), vividness=STRENGTH)
    used = [context for context in trt.contexts if context.runs]
    assert len(used) == 3
    assert len({context.memory for context in used}) == 1
    for name in ("light", "vividness", "ab", "confidence"):
        assert len({context.addresses[name] for context in used}) == 1
        assert len({*used[0].addresses.values()}) == 4


class TestGraphs:
    def test_one_is_captured_for_each_size_and_replayed(self, device):
        session = Session(FakeTensorRT(device), plan(), device)
        for count in (3, 1, 4, 1):
            session(light=lights(count), vividness=STRENGTH)
        assert device.calls == ["capture", "capture", "replay", "replay"]

    def test_rtx_captures_by_itself(self, device):
        trt = FakeTensorRT(device, name="tensorrt_rtx")
        session = Session(trt, plan(), device)
        for _ in range(3):
            session(light=lights(2), vividness=STRENGTH)
        assert device.calls == []
        assert max(context.runs for context in trt.contexts) == 3


class TestInputsThatDoNotFit:
    @pytest.mark.parametrize(
        ("light", "complaint"),
        [
            (
                torch.zeros(5, 1, 32, 64),
                r"light is torch.float32 \(5, 1, 32, 64\), not torch.float32 up to \(4, 1, 32, 64\)",
            ),
            (torch.zeros(1, 1, 64, 64), "up to"),
            (torch.zeros(0, 1, 32, 64), "up to"),
            (torch.zeros(1, 1, 32, 64, dtype=torch.float16), "light is torch.float16"),
        ],
    )
    def test_they_are_named(self, light, complaint, device):
        session = Session(FakeTensorRT(device), plan(), device)
        with pytest.raises(ValueError, match=complaint):
            session(light=light, vividness=STRENGTH)

    def test_a_fixed_shape_is_fixed(self, device):
        session = Session(FakeTensorRT(device), plan(), device)
        with pytest.raises(ValueError, match="vividness is"):
            session(light=lights(1), vividness=torch.zeros(2))

    def test_all_inputs_must_be_there(self, device):
        session = Session(FakeTensorRT(device), plan(), device)
        with pytest.raises(ValueError, match="the engine takes light, vividness, not light"):
            session(light=lights(1))


@pytest.mark.parametrize("call", ["deserialize", "context", "shape", "address", "execute"])
def test_whatever_fails_is_told_in_tensorrts_words(call, device):
    with pytest.raises(BackendError, match=f"{call} went wrong"):
        Session(FakeTensorRT(device, fails=[call]), plan(), device)(light=lights(1), vividness=STRENGTH)


def test_a_type_that_nobody_expects_is_named(device):
    with pytest.raises(BackendError, match="the engine's ab is INT64, not FLOAT, HALF, UINT8"):
        Session(FakeTensorRT(device), plan(ab="INT64"), device)


def test_memory_that_is_not_there_is_an_error_of_ours(device):
    with pytest.raises(BackendError, match="MB of memory left on cpu"):
        Session(FakeTensorRT(device), plan(height=1 << 20, width=1 << 20, batch=1 << 20), device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_real_runtime_says_why_it_cannot_load_an_engine_without_a_gpu(device, tmp_path):
    onnx = write_network(tmp_path / "toy.onnx").read_bytes()
    real = build(onnx, {"light": Profile(*[(1, 1, 32, 64)] * 3)}, flavor="tensorrt_rtx")
    with pytest.raises(BackendError, match=r"TensorRT cannot load the engine: .*CUDA driver"):
        Session(load_tensorrt("tensorrt_rtx"), real, device)


@pytest.mark.gpu
def test_a_real_engine_runs_on_a_real_gpu(tmp_path):
    onnx = write_network(tmp_path / "toy.onnx").read_bytes()
    most = (6, 1, 32, 64)
    session = Session(load_tensorrt(), build(onnx, {"light": Profile((1, *most[1:]), most, most)}), Gpu())
    for count in (1, 3, 6, 1, 3, 6):
        light = lights(count, seed=count)
        ab = session(light=light.cuda(), vividness=STRENGTH)["ab"]
        assert np.abs(ab.cpu().numpy() - expected(light.numpy(), 0.5)).max() < 0.5
