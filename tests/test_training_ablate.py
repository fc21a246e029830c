"""An ablation trains a recipe and each change to it, goes on where it stopped, and never mixes two recipes."""

import json
import sys

import cv2
import numpy as np
import pytest
import yaml
from networks import OneColor

from training import ablate as ablation
from training.config import BadSettingsError, Settings
from training.networks import SHAPES

RECIPE = {"batch": 2, "size": 64, "steps": 2, "every": 2, "workers": 0, "palette": 8, "warmup": 1}
CHANGES = {"half as long": {"steps": 1}, "no Huber term": {"huber": 0}}


@pytest.fixture(scope="module")
def sets(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("sets")
    for name, gray in [("bright", False), ("gray", True)]:
        (folder / name).mkdir()
        for picture in sorted(pictures.iterdir())[:2]:
            rgb = cv2.imread(str(picture))
            rgb = np.repeat(rgb.mean(2, keepdims=True), 3, 2).astype(np.uint8) if gray else rgb
            cv2.imwrite(str(folder / name / picture.name), rgb)
    return folder


def plan(folder, recipe=RECIPE, changes=CHANGES):
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({"recipe": recipe | {"validation_share": 0.2}, "changes": changes}, sort_keys=False))
    return path


@pytest.fixture
def trained(monkeypatch):
    """Return the list to which the settings of every training are added."""
    done, train = [], ablation.train

    def watched(settings, process):
        done.append(settings)
        return train(settings, process)

    monkeypatch.setattr(ablation, "train", watched)
    return done


@pytest.fixture
def run(tmp_path, pictures, sets):
    def ablate(path, **more):
        result = tmp_path / "ablation.json"
        ablation.ablate(path, sets, result, data=pictures, out=tmp_path / "runs", **more)
        return json.loads(result.read_text())

    return ablate


def test_the_recipe_and_each_change_are_trained_and_measured(run, trained, tmp_path):
    found = run(plan(tmp_path))
    assert list(found["runs"]) == ["the recipe", "half as long", "no Huber term"]
    assert [settings.steps for settings in trained] == [2, 1, 2]
    assert [settings.huber for settings in trained] == [0.02, 0.02, 0]
    assert found["runs"]["half as long"]["changed"] == {"steps": 1}
    for row in found["runs"].values():
        assert list(row["sets"]) == ["bright"]  # gray pictures tell nothing of color
        assert row["sets"]["bright"].keys() == {"gain", "ciede2000", "colorfulness"}


def test_what_is_measured_follows_the_colors(sets):
    gray, wild = (dict(ablation.measure(OneColor(*ab), sets))["bright"] for ab in [(0, 0), (90, -90)])
    assert gray == {"gain": pytest.approx(0), "ciede2000": pytest.approx(1), "colorfulness": pytest.approx(0, abs=0.05)}
    assert wild["gain"] < -1
    assert wild["ciede2000"] > 1
    assert wild["colorfulness"] > 0.5


def test_a_stopped_ablation_goes_on_with_what_is_left(run, trained, tmp_path, monkeypatch):
    path = plan(tmp_path)
    load = ablation.load_network

    def stopped(checkpoint):
        if len(trained) == 2:
            raise KeyboardInterrupt
        return load(checkpoint)

    monkeypatch.setattr(ablation, "load_network", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(path)
    monkeypatch.setattr(ablation, "load_network", load)
    trained.clear()
    found = run(path)
    assert [settings.steps for settings in trained] == [1, 2]
    assert list(found["runs"]) == ["the recipe", "half as long", "no Huber term"]
    trained.clear()
    assert run(path) == found
    assert trained == []


def test_a_changed_change_is_trained_anew_and_alone(run, trained, tmp_path):
    run(plan(tmp_path))
    trained.clear()
    found = run(plan(tmp_path, changes=CHANGES | {"no Huber term": {"huber": 0, "smooth": 0}}))
    assert [settings.smooth for settings in trained] == [0]
    assert list(found["runs"]) == ["the recipe", "half as long", "no Huber term"]


def test_rows_and_checkpoints_of_another_recipe_are_not_used(run, trained, tmp_path):
    before = run(plan(tmp_path, changes={}))
    trained.clear()
    after = run(plan(tmp_path, changes={}), steps=3)
    assert [settings.steps for settings in trained] == [3]
    assert after["recipe"]["steps"] == 3
    assert after["runs"] != before["runs"]


def test_two_calls_can_share_the_runs_and_the_file(run, trained, tmp_path, monkeypatch):
    path, load = plan(tmp_path), ablation.load_network

    def meanwhile(checkpoint):
        monkeypatch.setattr(ablation, "load_network", load)
        run(path, only=["half as long"])
        return load(checkpoint)

    monkeypatch.setattr(ablation, "load_network", meanwhile)
    found = run(path, only=["no Huber term", "the recipe"])
    assert [settings.steps for settings in trained] == [2, 1, 2]
    assert list(found["runs"]) == ["the recipe", "half as long", "no Huber term"]
    with pytest.raises(BadSettingsError, match="no runs called twice as long"):
        run(path, only=["twice as long"])


def test_what_is_wrong_with_a_change_is_said_by_its_name(run, tmp_path):
    with pytest.raises(BadSettingsError, match=r"plan\.yaml, too smooth: smooth: "):
        run(plan(tmp_path, changes={"too smooth": {"smooth": 2}}))


@pytest.mark.parametrize("text", ["recipe: {}", "- 1", "recipe: {}\nchanges: {}\nmore: {}"])
def test_a_plan_that_is_none_is_refused(run, tmp_path, text):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(BadSettingsError, match=r"plan\.yaml"):
        run(path)


def test_the_command_writes_the_figures_and_says_in_a_line_what_is_wrong(tmp_path, pictures, sets, monkeypatch, capsys):
    result = tmp_path / "found.json"
    command = ["ablate", str(plan(tmp_path, changes={})), "--eval", str(sets), "-o", str(result), "--steps", "1"]
    monkeypatch.setattr(sys, "argv", [*command, "--data", str(pictures), "--out", str(tmp_path / "runs")])
    ablation.main()
    assert "the recipe: bright " in capsys.readouterr().out
    assert json.loads(result.read_text())["recipe"]["steps"] == 1
    monkeypatch.setattr(sys, "argv", [*command, "--steps", "2", "--data", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit, match="nothing: no pictures to train on"):
        ablation.main()


def test_the_plan_that_is_shipped_changes_one_part_at_a_time(request):
    path = request.config.rootpath / "configs" / "ablation.yaml"
    recipe, (first, *others) = ablation.runs_of(path, data=None, out=path.parent, steps=None)
    assert first.changed == {}
    assert len({run.settings.out for run in [first, *others]}) == len(others) + 1
    assert recipe["steps"] == first.settings.steps
    for run in others:
        assert run.settings.model_copy(update={"out": first.settings.out}) != first.settings


def test_every_shape_of_the_networks_can_be_set():
    for shape in [*SHAPES, "seed"]:
        assert Settings(data=".", shape=shape).shape == shape
