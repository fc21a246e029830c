"""The proof on a GPU is a script that must not fail there for the first time: what it counts, and a run without one."""

import gc
import importlib
import json
import subprocess
import sys
import weakref

import pytest
import torch
from torch import nn


@pytest.fixture
def roofline(monkeypatch, request):
    monkeypatch.syspath_prepend(request.config.rootpath / "benchmarks")
    return importlib.import_module("roofline")


@pytest.fixture
def gpu(roofline):
    del roofline  # it makes the folder importable
    return importlib.import_module("gpu")


class Halves(nn.Module):
    """Half the size, one convolution of 3x3 from 1 to 4 channels."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False)

    def forward(self, picture):
        return self.convolution(picture) + 1


def test_operations_and_bytes_are_counted_by_hand_the_same(roofline):
    asked = roofline.demand(Halves(), (torch.zeros(1, 1, 8, 8),))
    assert asked.operations == 2 * 9 * 4 * 16
    assert asked.planes == 4 * (64 + 4 * 16)
    assert asked.layers == 2 * asked.planes  # the convolution reads and writes as much as the whole
    assert asked.weights == 4 * 36


def test_the_least_time_is_that_of_what_is_scarcer(roofline):
    asked = roofline.Demand(operations=100, planes=10, layers=50, weights=20)
    slow_memory = roofline.Ceilings(10, 1e9, 1, 1)
    slow_arithmetic = roofline.Ceilings(1e9, 10, 1, 1)
    assert asked.seconds(4, slow_memory) == pytest.approx((4 * 50 + 20) / 10)
    assert asked.seconds(4, slow_arithmetic) == pytest.approx(4 * 100 / 10)


def test_ceilings_are_positive_and_a_call_that_works_more_takes_longer(roofline):
    here = torch.device("cpu")
    found = roofline.ceilings(here, quick=True)
    assert min(found.bytes_per_second, found.operations_per_second, found.up_bytes_per_second) > 1e6
    small, large = torch.zeros(1000), torch.zeros(10_000_000)
    short, long = (roofline.seconds(lambda each=each: each.add_(1), here, least=0.02) for each in (small, large))
    assert short < long


def test_delays_are_in_order(roofline):
    found = roofline.delays(lambda: torch.zeros(10).add_(1), torch.device("cpu"), count=50)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_section_runs_without_a_gpu(request, tmp_path):
    script, out = request.config.rootpath / "benchmarks" / "gpu.py", tmp_path / "results" / "gpu.json"
    command = [sys.executable, script, "--device", "cpu", "--quick", "--out", out]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert list(found["sections"])[:5] == ["correctness", "delay", "ceilings", "film", "throughput"]
    rows = {name: section["rows"] for name, section in found["sections"].items()}
    assert [row["precision"] for row in rows["correctness"]] == ["fp32", "fp16"]
    assert [goal["reached"] for goal in found["goals"]][:2] == [True, True]  # the colors are right; this is no GPU
    assert {goal["figure"] for goal in found["goals"]}.isdisjoint({"not measured"})
    assert {row["batch"] for row in rows["throughput"]} == {1, 2}
    assert all(row["of_limit"] > 0 and row["gflop"] > 0.1 for row in rows["throughput"])
    assert rows["film"][0]["what"] == "plain transcode"
    assert 0 < rows["film"][1]["color_part"] < 1.5
    assert "20,000 pictures/s" in done.stdout


def test_a_section_that_fails_leaves_the_others(gpu, tmp_path, monkeypatch, capsys):
    def broken(_):
        yield {"what": "one", "per_s": 1.0}
        raise RuntimeError("CUDA error:\nsomething")

    monkeypatch.setattr(
        gpu,
        "sections",
        lambda bench: iter(
            [("film", lambda: broken(bench)), ("delay", lambda: iter([{"what": "two", "p50_ms": 0.123456}]))]
        ),
    )
    found = gpu.measure(gpu.Bench(torch.device("cpu"), quick=True, deadline=0.0), tmp_path / "gpu.json")
    assert found["sections"]["film"] == {
        "rows": [{"what": "one", "per_s": 1.0}],
        "error": "RuntimeError: CUDA error: something",
        "late": True,
    }
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert kept["sections"]["delay"]["rows"] == [{"what": "two", "p50_ms": 0.1235}]
    assert "FAILED: RuntimeError: CUDA error: something" in capsys.readouterr().out


def test_goals_are_judged_by_the_rows_that_they_are_about(gpu):
    rows = [
        {"what": "1920x1080, network 256x128", "device_per_s": 25_000.0, "of_limit": 0.3},
        {"what": "1920x1080, network 512x512 (512 class)", "device_per_s": 30_000.0, "of_limit": 0.9},
        {"what": "network 256x128", "device_per_s": 90_000.0, "of_limit": 0.7},
        {"what": "1920x1080, network 256x128", "out_of_memory": True},
    ]
    found = {"throughput": {"rows": rows}, "delay": {"rows": [{"what": "one", "p50_ms": 0.6}, {"p50_ms": 0.4}]}}
    verdicts = {goal.what: goal.verdict(found) for goal in gpu.GOALS}
    assert verdicts["20,000 pictures/s"] == {"what": "20,000 pictures/s", "figure": 25_000.0, "reached": True}
    assert verdicts["60 % of the limit"]["reached"] is False
    assert verdicts["delay of 0.5 ms"]["figure"] == 0.4
    assert verdicts["5 % of a film's time for color"]["figure"] == "not measured"


def test_a_graph_keeps_the_memory_that_it_reads(gpu, monkeypatch):
    replayed = []
    monkeypatch.setattr(gpu, "captured", lambda run: (run(), lambda: replayed.append(run())))
    tensor = torch.ones(3)
    held = weakref.ref(tensor)
    call = gpu.runner(lambda given: (given * 2, given), (tensor,), "graph")
    del tensor
    gc.collect()
    assert held() is not None, "else the graph would read memory that is somebody else's"
    held().fill_(5)
    assert (call() == 2).all(), "what was captured stays where it is"
    assert (replayed[0] == 10).all()


def test_nothing_is_begun_after_the_deadline(gpu):
    bench = gpu.Bench(torch.device("cpu"), quick=True, deadline=0.0)
    assert list(gpu.throughput(bench, None)) == []


def test_without_a_gpu_it_says_so(request):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    script = request.config.rootpath / "benchmarks" / "gpu.py"
    done = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "torch finds no GPU here" in done.stderr
