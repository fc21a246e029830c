"""A run can be killed and goes on as if nothing had happened; what it learned can be exported and rebuilt."""

import csv
import importlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from networks import OneColor

from streamcolor.backends import known_models
from streamcolor.chroma import network_size
from streamcolor.errors import BackendError
from streamcolor.nets.rebuild import rebuild
from training import train as training
from training.config import BadSettingsError, Settings, load
from training.export import deviation, export, fitted_calm, held_from, lights_of, load_checkpoint, quantize
from training.export import main as export_command
from training.pictures import find_pictures
from training.samples import ab_of
from training.state import averaging, rate_at
from training.validate import colorize

# torch's exporter is deprecated by torch itself; the fixture that exports runs in whichever test asks first
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

STRENGTH = {"boost": 0.5, "sharpness": 1.0, "spread": 12.0, "calm": 0.8}
CARD = {"name": "test", "stride": "64", "pixels": "4096", "precision": "fp32"}


def settings(pictures, out, **more):
    given = {"data": pictures, "out": out, "steps": 4, "batch": 2, "size": 64, "every": 2, "workers": 0, "palette": 16}
    return Settings(**given, validation_share=0.2, warmup=1, **more)


@pytest.fixture(scope="module")
def checkpoint(pictures, tmp_path_factory):
    return training.train(settings(pictures, tmp_path_factory.mktemp("run")))


def weights(path):
    return torch.load(path, weights_only=False)["average"]


def test_a_run_that_was_killed_and_resumed_ends_with_the_same_weights(pictures, checkpoint, tmp_path, monkeypatch):
    def save_and_die(path, state):
        save(path, state)
        raise KeyboardInterrupt

    save = training.save
    with monkeypatch.context() as patch:
        patch.setattr(training, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            training.train(settings(pictures, tmp_path))
    assert torch.load(tmp_path / "last.pt", weights_only=False)["step"] == 2
    resumed, unbroken = weights(training.train(settings(pictures, tmp_path))), weights(checkpoint)
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)


def test_a_kill_while_saving_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    training.save(path, {"step": 1})

    def half_written(_state, partial):
        partial.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(KeyboardInterrupt):
        training.save(path, {"step": 2})
    assert torch.load(path, weights_only=True) == {"step": 1}


def test_a_run_leaves_a_log_and_contact_sheets(checkpoint):
    rows = list(csv.DictReader((checkpoint.parent / "log.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(float(row["classification"]) > 0 for row in rows)
    assert cv2.imread(str(checkpoint.parent / "sheet-000004.png")).std() > 10


def test_the_rate_warms_up_then_falls_to_a_hundredth():
    plan = Settings(data=".", steps=1000, warmup=100)
    rates = [rate_at(step, plan) for step in range(1001)]
    assert rates[0] == 0.01
    assert max(rates) == rates[99] == 1
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


def test_the_average_follows_fast_at_first_and_slowly_in_the_end():
    """With the last decay from the beginning on, a hundred steps later it would still be nine tenths of chance."""
    averaged, seen = [torch.zeros(3)], []
    for step in range(100):
        averaging(0.999, averaged, [torch.ones(3)], torch.tensor(step))
        seen.append(averaged[0][0].item())
    assert seen == sorted(seen)
    assert seen[1] > 0.8
    assert seen[-1] > 0.99
    late = [torch.zeros(3)]
    averaging(0.999, late, [torch.ones(3)], torch.tensor(1_000_000))
    assert late[0][0].item() == pytest.approx(0.001)


def test_samples_need_not_be_of_a_size_that_the_stride_divides(pictures, tmp_path):
    path = training.train(settings(pictures, tmp_path).model_copy(update={"size": 76}))
    assert torch.load(path, weights_only=False)["step"] == 4


def test_a_size_that_colors_do_not_fit_into_is_an_error(pictures, tmp_path):
    with pytest.raises(BadSettingsError, match="size: 66 is not a multiple of 4"):
        training.train(settings(pictures, tmp_path).model_copy(update={"size": 66}))


def test_bf16_is_taken_only_where_it_is_not_imitated(monkeypatch):
    cpu = torch.device("cpu")
    for there, dtype in [(True, torch.bfloat16), (False, torch.float32)]:
        monkeypatch.setattr(training, "has_bf16", lambda _, there=there: there)
        with training.autocast("auto", cpu):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
        with training.autocast("fp32", cpu):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    monkeypatch.undo()
    assert training.has_bf16(cpu) is torch.ops.mkldnn._is_mkldnn_bf16_supported()


def test_validation_shows_the_network_what_the_pipeline_would_and_compares_the_picture_as_it_is():
    network, rgb = OneColor(0, 0), np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    truth, gray, ours = colorize(network, rgb)
    assert truth.shape == gray.shape == ours.shape == (256, 341, 3)
    width, height = network_size(341, 256, pixels=192 * 192, stride=64)
    assert network.sizes == [(height, width)]
    assert np.abs(ours - gray).max() < 0.01


def test_colors_are_calmed_as_far_as_strange_pictures_have_less_of_them(tmp_path):
    picture = np.full((64, 64, 3), (200, 120, 90), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
    ab = ab_of(picture)[:, 0, 0]
    found = find_pictures(tmp_path)
    assert fitted_calm(OneColor(*ab), found) == pytest.approx(1, abs=0.01)
    assert fitted_calm(OneColor(*(2 * ab)), found) == pytest.approx(0.5, abs=0.01)
    assert fitted_calm(OneColor(*(ab / 2)), found) == 1, "never more than the network says"
    assert fitted_calm(OneColor(*-ab), found) == 0
    assert fitted_calm(OneColor(*ab), []) == 1, "nothing to judge by"


def test_what_a_run_held_back_is_what_its_colors_are_calmed_by(pictures, checkpoint, tmp_path):
    found = find_pictures(pictures)
    held = held_from(checkpoint, found)
    assert 0 < len(held) < len(found)
    torch.save({"settings": {"held_back": ["elsewhere"], "validation_share": 0.2}}, tmp_path / "other.pt")
    assert held_from(tmp_path / "other.pt", found) == []


def test_the_command_exports_at_the_size_of_the_shipped_network(pictures, checkpoint, tmp_path, monkeypatch, capsys):
    out = tmp_path / "mine"
    monkeypatch.setattr(sys, "argv", ["export", str(checkpoint), "-o", str(out), "--data", str(pictures)])
    export_command()
    card = {entry.key: entry.value for entry in onnx.load(tmp_path / "mine.onnx").metadata_props}
    shipped = {entry.key: entry.value for entry in onnx.load(known_models()["tiny"]).metadata_props}
    assert card["pixels"] == shipped["pixels"]
    assert f"calm: {float(card['calm']):.2f}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "test.onnx"
    return path, export(load_checkpoint(checkpoint), path, card=CARD, strength=STRENGTH)


def test_the_exported_file_does_what_torch_does_at_any_size(exported, pictures):
    path, predictor = exported
    found = find_pictures(pictures)
    for size in [(64, 64), (128, 64), (64, 192)]:
        assert deviation(predictor, path, lights_of(found, 2, size)).max() < 0.5


def largest_weight(path):
    """The largest of the integers that stand for weights."""
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    return max(np.abs(each.astype(int)).max() for each in weights if each.dtype == np.int8 and each.ndim == 4)


def test_no_processor_overflows_on_the_shipped_weights():
    # Without VNNI, two products of a code and a weight are added in 16 bits: 2 x 255 x 64 just fits.
    assert largest_weight(known_models()["tiny"]) == 64


def test_int8_stays_near_and_is_half_as_large(exported, pictures, tmp_path):
    path, predictor = exported
    lights = lights_of(find_pictures(pictures), 8, (128, 64))
    quantize(path, tmp_path / "int8.onnx", lights)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.6 * path.stat().st_size
    assert deviation(predictor, tmp_path / "int8.onnx", lights).mean() < 2
    assert largest_weight(tmp_path / "int8.onnx") == 64
    rebuilt, vividness = rebuild(tmp_path / "int8.onnx"), torch.tensor([0.5])
    with torch.inference_mode():
        ours, theirs = (network(torch.from_numpy(lights[0]), vividness)[0] for network in (rebuilt, predictor))
    assert (ours - theirs).abs().mean() < 2


def test_the_file_alone_is_enough_to_rebuild_the_network_in_torch(exported):
    path, predictor = exported
    light, vividness = torch.rand(2, 1, 64, 128) * 100, torch.tensor([0.7])
    with torch.inference_mode():
        for ours, theirs in zip(rebuild(path)(light, vividness), predictor(light, vividness), strict=True):
            assert (ours - theirs).abs().max() < 0.1


def test_the_file_carries_its_card(exported):
    card = {entry.key: entry.value for entry in onnx.load(exported[0]).metadata_props}
    assert card == CARD | {name: str(value) for name, value in STRENGTH.items()}


def test_the_file_says_nothing_of_the_machine_that_made_it(exported, request):
    assert str(request.config.rootpath).encode() not in exported[0].read_bytes()


def test_the_quantized_file_carries_it_too(exported, pictures, tmp_path):
    quantize(exported[0], tmp_path / "int8.onnx", lights_of(find_pictures(pictures), 1, (64, 64)))
    card = {entry.key: entry.value for entry in onnx.load(tmp_path / "int8.onnx").metadata_props}
    assert card["precision"] == "int8"
    assert card["sharpness"] == "1.0"


@pytest.mark.parametrize("content", [b"", b"\x00\xff not a network"])
def test_a_damaged_file_is_not_rebuilt(tmp_path, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(BackendError, match=r"bad\.onnx"):
        rebuild(tmp_path / "bad.onnx")


def test_every_wrong_setting_is_named_at_once(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("data: x\nsteps: -1\nbatchsize: 3\n")
    with pytest.raises(BadSettingsError, match=r"steps: .*batchsize"):
        load(path)
    with pytest.raises(BadSettingsError, match="cannot read"):
        load(tmp_path / "none.yaml")


def test_what_cannot_be_trained_with_is_said_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "my.yaml").write_text(f"data: {tmp_path}\nout: {tmp_path / 'run'}\nshape: seed\nworkers: 0\n")
    for given, said in [("my.yaml", "no pictures found"), ("none.yaml", r"cannot read .*none\.yaml")]:
        monkeypatch.setattr("sys.argv", ["train", str(tmp_path / given)])
        with pytest.raises(SystemExit, match=said):
            training.main()


ROOT = Path(training.__file__).parent.parent
COMMANDS = [path.stem for path in sorted((ROOT / "training").glob("*.py")) if "def main(" in path.read_text()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_is_documented(command, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [command, "--help"])
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(f"training.{command}").main()
    assert f"python -m training.{command}" in capsys.readouterr().out
    assert any(f"training.{command}" in path.read_text() for path in (ROOT / "docs").glob("*.md"))


def test_every_configuration_that_ships_is_valid(request):
    folder = request.config.rootpath / "configs" / "train"
    assert [load(path).steps for path in folder.glob("*.yaml")]
    assert json.dumps(Settings.model_json_schema())
