"""Torch is the reference on a processor, and the same network in half precision on a GPU."""

import numpy as np
import pytest
import torch
from torch import nn

from streamcolor.backends import known_models, torch_backend
from streamcolor.backends.fused import Fusion, fuse
from streamcolor.backends.torch_backend import GPU, PROCESSOR, TorchBackend, Way, as_it_is, usual_way
from streamcolor.errors import BackendError
from streamcolor.nets.replay import Replayed

MODEL = known_models()["tiny-fp32"]


def lights(count=1, height=64, width=128, seed=0):
    return np.random.default_rng(seed).uniform(0, 100, (count, 1, height, width)).astype(np.float32)


def parts(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


class Recorded:
    """A CUDA graph's twin: what it returns is empty at first, stays where it is, and is filled by a replay."""

    def __init__(self):
        self.captures = self.replays = 0

    def __call__(self, run):
        self.captures += 1
        outputs = run()
        for output in parts(outputs):
            output.zero_()

        def replay():
            self.replays += 1
            for place, value in zip(parts(outputs), parts(run()), strict=True):
                place.copy_(value)

        return outputs, replay


class Sum(nn.Module):
    """A module whose answer shows what it was given."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, batch, setting):
        return batch * self.one + setting


class TestReplay:
    def test_every_call_computes_with_what_it_is_given(self):
        module = Replayed(Sum(), capture=Recorded())
        for number in range(3):
            (found,) = module(torch.full((2, 1, 4, 4), float(number)), torch.tensor([10.0]))
            assert (found == number + 10).all()
        (found,) = module(torch.zeros(2, 1, 4, 4), torch.tensor([20.0]))
        assert (found == 20).all()

    def test_few_sizes_are_captured_and_what_fills_them_up_is_not_given_out(self):
        recorded = Recorded()
        module = Replayed(Sum(), capture=recorded)
        for count in (5, 6, 7, 8, 5, 1):
            (found,) = module(torch.full((count, 1, 4, 4), float(count)), torch.zeros(1))
            assert found.shape[0] == count
            assert (found == count).all()
        assert (recorded.captures, recorded.replays) == (2, 6)

    def test_another_picture_size_is_another_graph(self):
        recorded = Recorded()
        module = Replayed(Sum(), capture=recorded)
        for size in ((4, 4), (4, 8), (4, 4)):
            assert module(torch.zeros(1, 1, *size), torch.zeros(1))[0].shape[2:] == size
        assert recorded.captures == 2

    def test_what_was_given_is_copied(self):
        given = torch.ones(1, 1, 2, 2)
        (found,) = Replayed(Sum(), capture=Recorded())(given, torch.zeros(1))
        given.zero_()
        assert (found == 1).all()

    def test_planes_go_the_same_way(self):
        module = fuse(MODEL, Fusion(128, 64, precision="fp32"))
        luma = torch.randint(0, 256, (3, 1, 64, 128), dtype=torch.uint8)
        with torch.inference_mode():
            (found,) = Replayed(module, capture=Recorded())(luma, torch.ones(1), torch.ones(1))
            expected = module(luma, torch.ones(1), torch.ones(1))
        assert (found.int() - expected.int()).abs().max() <= 1


class TestWays:
    @pytest.mark.parametrize(("available", "way"), [(False, PROCESSOR), (True, GPU)])
    def test_a_gpu_is_used_if_torch_has_one(self, monkeypatch, available, way):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
        assert usual_way() is way

    def test_nothing_changes_on_a_processor(self):
        assert (PROCESSOR.half, PROCESSOR.prepared) == (False, as_it_is)
        backend = TorchBackend(MODEL, threads=1, way=PROCESSOR)
        assert backend.network.precision == "fp32"
        light = lights(2)
        with torch.inference_mode():
            expected = torch_backend.rebuild(MODEL)(torch.from_numpy(light), torch.tensor([0.5]))
        found = backend.predict(light, vividness=0.5)
        assert np.array_equal(found.ab_N2hw, expected[0].numpy())
        assert np.array_equal(found.confidence_N1hw, expected[1].numpy())

    def test_half_precision_and_graphs_give_the_same_colors(self):
        recorded = Recorded()
        way = Way("cpu", half=True, batch=8, prepared=lambda module: Replayed(module, capture=recorded))
        half, single = TorchBackend(MODEL, threads=1, way=way), TorchBackend(MODEL, threads=1, way=PROCESSOR)
        assert (half.batch, half.network.precision) == (8, "fp16")
        for seed in range(2):
            one, other = (backend.predict(lights(3, seed=seed), vividness=0.5) for backend in (half, single))
            assert np.abs(one.ab_N2hw - other.ab_N2hw).mean() < 0.2
            assert np.abs(one.confidence_N1hw - other.confidence_N1hw).max() < 0.05
        assert (recorded.captures, recorded.replays) == (1, 2)

    def test_a_prediction_outlives_the_next_replay(self):
        way = Way("cpu", half=False, batch=8, prepared=lambda module: Replayed(module, capture=Recorded()))
        backend = TorchBackend(MODEL, threads=1, way=way)
        first = backend.predict(lights(seed=1), vividness=1).ab_N2hw
        before = first.copy()
        backend.predict(lights(seed=2), vividness=1)
        assert np.array_equal(first, before)

    def test_what_torch_complains_of_is_an_error_of_ours(self):
        def exhausted(_):
            def call(*_):
                raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB")

            return call

        backend = TorchBackend(MODEL, threads=1, way=Way("cpu", half=False, batch=1, prepared=exhausted))
        with pytest.raises(BackendError, match=r"torch failed: CUDA out of memory\. Tried to allocate 20 GiB"):
            backend.predict(lights(), vividness=0)

    def test_a_closed_backend_lets_go_of_its_network(self):
        backend = TorchBackend(MODEL, threads=1, way=PROCESSOR)
        backend.close()
        backend.close()
        assert backend._call is None


@pytest.mark.gpu
class TestOnAGpu:
    @pytest.mark.parametrize("prepared", [as_it_is, Replayed], ids=["eager", "graphs"])
    def test_it_agrees_with_the_processor(self, prepared):
        way = Way("cuda", half=True, batch=32, prepared=prepared)
        gpu, processor = TorchBackend(MODEL, threads=1, way=way), TorchBackend(MODEL, threads=1, way=PROCESSOR)
        for count in (1, 3, 32):
            one, other = (backend.predict(lights(count), vividness=0.5) for backend in (gpu, processor))
            assert np.abs(one.ab_N2hw - other.ab_N2hw).mean() < 0.3

    @pytest.mark.parametrize("precision", ["fp32", "fp16"])
    def test_planes_agree_with_the_processor(self, precision):
        fusion = Fusion(640, 360, precision=precision)
        luma = torch.randint(0, 256, (2, 1, 360, 640), dtype=torch.uint8)
        with torch.inference_mode():
            expected = fuse(MODEL, Fusion(640, 360, precision="fp32"))(luma, torch.ones(1), torch.ones(1))
            (found,) = Replayed(fuse(MODEL, fusion).cuda())(luma, torch.ones(1), torch.ones(1))
        assert (found.cpu().int() - expected.int()).abs().float().mean() < 0.5
