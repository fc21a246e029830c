"""A shipped network is specialized to somebody's pictures, and the result goes straight into the program."""

import cv2
import numpy as np
import pytest
import torch
from clips import make_clip

from streamcolor.errors import BackendError, ConfigError
from streamcolor.picture import load_model
from training import finetune
from training.config import Settings
from training.finetune import gather, split
from training.pictures import Picture, UnusableDataError
from training.start import start_from


def scene(seed):
    """A picture whose color follows from its lightness: dark is blue, light is orange."""
    small = np.random.default_rng(seed).random((5, 7, 1))
    bgr = small * np.array([40, 140, 250]) + (1 - small) * np.array([150, 60, 20])
    return cv2.resize(bgr.astype(np.uint8), (84, 72), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("camera")
    for number in range(12):
        cv2.imwrite(str(folder / f"{number}.png"), scene(number))
    return folder


@pytest.fixture(scope="module")
def start():
    return start_from("tiny")


def test_it_starts_with_the_weights_of_the_file_in_single_precision(start):
    light = torch.rand(1, 1, 64, 128) * 100
    with torch.inference_mode(), load_model("tiny-fp32", backend="torch") as model:
        theirs = model.backend.predict(light.numpy(), vividness=0)
        ours = start.network.mean_color(start.network(light)) * start.strength["calm"]
    assert np.abs(ours.numpy() - theirs.ab_N2hw).max() < 0.1
    assert start.strength["boost"] > 0
    assert start.network.prior.abs().max() > 0.1
    assert start.size % int(start.card["stride"]) == 0


def test_what_cannot_be_rebuilt_is_said_so(tmp_path):
    with pytest.raises(ConfigError, match="no model 'tinny'"):
        start_from("tinny")
    (tmp_path / "bad.onnx").write_bytes(b"\x00\xff")
    with pytest.raises(BackendError, match=r"bad\.onnx"):
        start_from(str(tmp_path / "bad.onnx"))


def test_a_fifth_of_the_files_is_held_back_clips_as_a_whole(data):
    pictures = [Picture(".", f"{number}.png", data) for number in range(20)]
    training, held = split(pictures)
    assert (len(training), len(held)) == (16, 4)
    clips = [Picture(".", name, data, moment=part / 10) for name in ("a.mp4", "b.mp4") for part in range(10)]
    training, held = split(clips)
    assert (len(training), len(held)) == (10, 10)
    assert len({picture.name for picture in held}) == 1


def test_of_a_single_video_the_end_is_held_back_and_its_neighbors_are_left_out():
    training, held = split([Picture(".", "a.mp4", ".", moment=part / 100) for part in range(100)])
    assert max(picture.moment for picture in training) == 0.74
    assert min(picture.moment for picture in held) == 0.8


def test_a_single_video_is_sampled_densely(tmp_path):
    clip = make_clip(tmp_path / "one.mkv", frames=250, gray=False, size=(64, 64))
    (tmp_path / "kept").mkdir()
    training, held = gather(clip, tmp_path / "kept")
    assert (len(training), len(held)) == (30, 8)
    assert training[0].read().shape == (64, 64, 3)


def test_too_few_pictures_are_an_error(tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), scene(0))
    with pytest.raises(UnusableDataError, match="1 usable pictures of 1, at least 8"):
        gather(tmp_path, tmp_path)


def test_the_command_says_an_error_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["finetune", "--data", str(tmp_path), "-o", str(tmp_path / "x")])
    with pytest.raises(SystemExit, match="0 usable pictures of 0"):
        finetune.main()


@pytest.mark.parametrize("layers", ["last", "all"])
def test_only_the_chosen_layers_change(start, data, layers):
    plan = Settings(data=data, steps=1, batch=2, size=64, warmup=1, hinted=0, workers=0)
    pictures = [Picture(".", f"{number}.png", data) for number in range(12)]
    after = finetune.finetune(start, pictures, plan, layers=layers)
    before = dict(start.network.named_parameters())
    changed = {name.split(".")[0] for name, value in after.named_parameters() if not torch.equal(value, before[name])}
    assert {"up", "head"} <= changed
    assert ("stem" in changed) == (layers == "all")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_command_says_what_it_won_and_the_program_takes_the_file(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("training.start.SIZE", 64)
    monkeypatch.setattr("sys.argv", ["finetune", "--data", str(data), "-o", str(tmp_path / "my.cam"), "--steps", "12"])
    finetune.main()
    said = capsys.readouterr().out
    assert "10 pictures to train on, 2 held back" in said
    won = next(line for line in said.splitlines() if "on what was held back" in line)
    assert float(won.split()[0]) > 0
    assert cv2.imread(str(tmp_path / "my.cam-held-back.jpg")) is not None
    with load_model(tmp_path / "my.cam.onnx") as model:
        assert model.backend.network.name == "my.cam"
        assert model.backend.network.metadata["finetuned_from"] == "tiny"
        assert model.backend.network.precision == "int8"
        assert model.colorize(scene(3)).shape == (72, 84, 3)
