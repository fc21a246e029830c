"""Several processes share a run's samples and end with one network; the optional parts of a run are optional."""

import csv
import json
import os
import subprocess
import sys
import types

import pytest
import torch

from training import logbook
from training import train as training
from training.config import BadSettingsError, Settings
from training.export import ExportError, load_checkpoint
from training.logbook import Logbook
from training.pictures import chosen, find_pictures
from training.processes import Process
from training.seed import REACH, Seed, SquaredError

# What `python -m training.train` does, watched: which samples each process draws, and what it has in the end.
WATCHED = """
import sys, torch, json
from pathlib import Path
from training import train as training
from training.config import Settings
from training.processes import joined

drawn, states, out = [], [], Path(sys.argv[2])
class Samples(training.Samples):
    def __getitem__(self, number):
        drawn.append(number)
        return super().__getitem__(number)
class State(training.State):
    def __init__(self, *given):
        super().__init__(*given)
        states.append(self)
training.Samples, training.State = Samples, State
torch.set_num_threads(1)
with joined() as process:
    settings = Settings(data=sys.argv[1], out=out, steps=3, batch=4, size=64, workers=0, palette=8, warmup=1,
                        validation_share=0.2, precision="fp32")
    training.train(settings, process)
weights = {name: value.double().sum().item() for name, value in states[0].network.named_parameters()}
(out / f"{process.rank}.json").write_text(json.dumps({"drawn": drawn, "weights": weights}))
"""


def settings(folder, out, **more):
    given = {"data": folder, "out": out, "steps": 2, "batch": 2, "size": 64, "every": 2, "workers": 0, "palette": 8}
    return Settings(**given | {"validation_share": 0.2, "warmup": 1} | more)


@pytest.mark.slow
def test_two_processes_share_the_samples_and_end_with_the_same_weights(pictures, tmp_path, request):
    (tmp_path / "watched.py").write_text(WATCHED)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*command, tmp_path / "watched.py", pictures, tmp_path],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(request.config.rootpath), "OMP_NUM_THREADS": "1"},
    )
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert sorted(one["drawn"] + other["drawn"]) == list(range(12))
    assert one["drawn"] == list(range(0, 12, 2))
    assert one["weights"] == other["weights"]
    (row,) = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    assert row["step"] == "3"


def test_a_batch_that_cannot_be_shared_evenly_is_an_error(pictures, tmp_path):
    with pytest.raises(BadSettingsError, match="batch of 2 cannot be shared out to 3"):
        training.batches(find_pictures(pictures), settings(pictures, tmp_path), Process(0, 3), done=0)


def test_a_run_stops_when_its_time_is_up_and_goes_on_when_started_again(pictures, tmp_path):
    plan = settings(pictures, tmp_path, shape="seed", steps=2, every=100)
    steps = []
    for _ in range(2):
        checkpoint = training.train(plan, minutes=0)
        steps.append(torch.load(checkpoint, weights_only=False)["step"])
    assert steps == [1, 2]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_other_precisions_train_too_and_keep_their_scale(pictures, tmp_path, precision):
    saved = torch.load(training.train(settings(pictures, tmp_path, precision=precision)), weights_only=False)
    assert all(value.isfinite().all() for value in saved["average"].values())
    assert ("scaler" in saved) == (precision == "fp16")


@pytest.mark.gpu
def test_a_gpu_is_used_when_there_is_one(pictures, tmp_path):
    saved = torch.load(training.train(settings(pictures, tmp_path)), weights_only=False)
    assert next(iter(saved["network"].values())).device.type == "cuda"


def test_curves_are_drawn_where_tensorboard_is_installed(tmp_path, monkeypatch):
    drawn = []

    class Writer:
        def __init__(self, folder, *, purge_step):
            drawn.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            drawn.append((name, value, step))

        def flush(self):
            drawn.append("flushed")

        def close(self):
            drawn.append("closed")

    fake = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    monkeypatch.setattr(logbook, "find_spec", lambda _: object())
    with Logbook(tmp_path, ("huber",), Process(), step=7) as book:
        book.count((torch.tensor(2.0),), damaged=torch.tensor([1, 0]), gray=torch.tensor([0, 0]))
        book.count((torch.tensor(4.0),), damaged=torch.tensor([1, 0]), gray=torch.tensor([0, 3]))
        book.write(9, {"gain": 1.5}, samples=8)
    assert drawn[0] == (str(tmp_path / "curves"), 8)
    assert ("huber", 3.0, 9) in drawn
    assert ("gain", 1.5, 9) in drawn
    assert drawn[-2:] == ["flushed", "closed"]
    (row,) = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    assert (row["huber"], row["damaged"], row["gray"]) == ("3.0", "2", "3")


def test_without_it_there_is_the_table_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(logbook, "find_spec", lambda _: None)
    book = Logbook(tmp_path, ("huber",), Process(), step=0)
    book.count((torch.tensor(1.0),), damaged=torch.tensor([0]), gray=torch.tensor([0]))
    book.write(1, {}, samples=1)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_a_limit_takes_the_same_pictures_every_time_in_their_order(pictures):
    found = find_pictures(pictures)
    some = chosen(found, 5, seed=1)
    assert some == chosen(found, 5, seed=1)
    assert some == [picture for picture in found if picture in some]
    assert chosen(found, None, seed=1) == chosen(found, 99, seed=1) == found


@pytest.fixture(scope="module")
def seed(pictures, tmp_path_factory):
    plan = settings(pictures, tmp_path_factory.mktemp("seed"), shape="seed", pictures=9, degraded=False, hinted=0)
    return training.train(plan)


class TestSeed:
    def test_it_is_trained_by_squared_error_and_nothing_else(self, seed):
        (row,) = csv.DictReader((seed.parent / "log.csv").read_text().splitlines())
        assert 0 < float(row["squared_error"]) < 1
        assert "huber" not in row

    def test_its_loss_is_zero_at_the_truth(self):
        ab = torch.rand(1, 2, 4, 4) * 100 - 50
        (loss,) = SquaredError()(ab / REACH, ab)
        assert loss == pytest.approx(0, abs=1e-12)

    def test_it_has_no_distribution_to_work_with(self, seed):
        with pytest.raises(ExportError, match="without a palette"):
            load_checkpoint(seed)

    def test_it_is_plain_and_small(self):
        network = Seed()
        assert network(torch.zeros(1, 1, 256, 256)).shape == (1, 2, 64, 64)
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
