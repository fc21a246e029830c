"""Pictures are found in any layout and drawn evenly; what cannot teach is left out and counted."""

import csv
import gzip
import os
import zipfile

import cv2
import numpy as np
import pytest
import torch

from training import data
from training.data import survey
from training.degrade import luma
from training.pictures import Picture, UnusableDataError, find_pictures, is_gray, split
from training.samples import Samples, ab_of, crop, jitter, some_hints


def colorful(seed=0, size=(96, 80)):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 5, 3), np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def write(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        write(tmp_path / "cats" / f"{number}.png", colorful(number))
    write(tmp_path / "dogs" / "deep" / "one.jpg", colorful(7))
    write(tmp_path / "gray" / "g.png", np.repeat(colorful(8)[..., :1], 3, axis=2))
    (tmp_path / "cats" / "damaged.png").write_bytes(b"not a picture")
    (tmp_path / "cats" / "notes.txt").write_text("not a picture either")
    return tmp_path


def test_pictures_are_found_in_any_layout_and_named_by_their_collection(folder):
    found = find_pictures(folder)
    assert [p.source for p in found] == ["cats"] * 4 + ["dogs", "gray"]
    assert found == find_pictures(folder)


def test_shards_are_read_without_unpacking(tmp_path):
    rgb = colorful(3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as shard:
        shard.writestr("x.png", cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
    with gzip.open(tmp_path / "index.csv.gz", "wt", newline="") as file:
        csv.writer(file).writerows(
            [["name", "shard", "source", "mean_chroma"], ["x.png", "a.zip", "s", "20"], ["y.png", "a.zip", "s", "1"]]
        )
    (picture,) = find_pictures(tmp_path)
    assert picture.source == "s"
    assert (picture.read() == rgb).all()


def test_samples_have_the_documented_shapes_and_depend_on_their_number_alone(folder):
    samples = Samples(find_pictures(folder), size=64, length=10, seed=4)
    first, again, other = samples[3], samples[3], samples[4]
    assert first["light"].shape == (1, 64, 64)
    assert first["ab"].shape == (2, 16, 16)
    assert first["hints"].shape == (3, 16, 16)
    assert first["light"].min() >= 0
    assert first["light"].max() <= 100
    assert all((first[key] == again[key]).all() for key in first)
    assert not (first["light"] == other["light"]).all()


def test_damaged_and_gray_pictures_are_passed_over_and_counted(folder):
    samples = Samples(find_pictures(folder), size=32, length=60, seed=0)
    drawn = [samples[number] for number in range(60)]
    assert sum(int(sample["damaged"]) for sample in drawn) > 0
    assert sum(int(sample["gray"]) for sample in drawn) > 0


def test_another_print_is_as_light_and_has_other_colors():
    rgb = cv2.resize(np.random.default_rng(0).integers(30, 200, (5, 5, 3), np.uint8), (64, 64))
    before = ab_of(rgb)
    warmth, colors = [], []
    for seed in range(200):
        printed = jitter(rgb, np.random.default_rng(seed))
        assert printed.dtype == np.uint8
        assert luma(printed).mean() == pytest.approx(luma(rgb).mean(), abs=4)
        ab = ab_of(printed)
        warmth.append(float((ab - before)[1].mean()))
        colors.append(float(np.hypot(*(ab - ab.mean((1, 2), keepdims=True))).mean()))
    usual = float(np.hypot(*(before - before.mean((1, 2), keepdims=True))).mean())
    assert min(warmth) < -3
    assert max(warmth) > 3
    assert min(colors) < 0.6 * usual
    assert max(colors) > 1.05 * usual


def test_what_is_learned_of_another_print_is_its_own_color(folder):
    pictures = find_pictures(folder)
    plain, printed = (
        Samples(pictures, size=64, length=40, seed=4, jittered=part, degraded=False) for part in (0.0, 1.0)
    )
    pairs = [(plain[number], printed[number]) for number in range(40)]
    assert sum(not torch.equal(one["ab"], other["ab"]) for one, other in pairs) > 30
    for _, sample in pairs:
        assert sample["light"].shape == (1, 64, 64)


def test_a_folder_that_teaches_nothing_is_an_error(tmp_path):
    with pytest.raises(UnusableDataError, match="no pictures"):
        Samples(find_pictures(tmp_path), size=32, length=1, seed=0)
    write(tmp_path / "g.png", np.full((40, 40, 3), 90, np.uint8))
    with pytest.raises(UnusableDataError, match="20 gray"):
        Samples(find_pictures(tmp_path), size=32, length=1, seed=0)[0]


@pytest.mark.parametrize(("evenness", "share"), [(1.0, 0.9), (0.0, 0.5)])
def test_evenness_says_how_much_a_large_collection_rules(folder, evenness, share):
    pictures = [Picture("large", "a", folder)] * 90 + [Picture("small", "b", folder)] * 10
    cumulative = Samples(pictures, size=32, length=1, seed=0, evenness=evenness)._cumulative
    assert cumulative[89] == pytest.approx(share)


def test_a_weight_takes_from_one_source_and_gives_to_the_others(folder):
    pictures = [Picture("a", "a", folder)] * 10 + [Picture("b", "b", folder)] * 10
    cumulative = Samples(pictures, size=32, length=1, seed=0, weights={"a": 0.25})._cumulative
    assert cumulative[9] == pytest.approx(0.2)


def test_whole_sources_can_be_held_back(folder):
    training, validation = split(find_pictures(folder), ["dogs"], 0.1)
    assert {p.source for p in validation} == {"dogs"}
    assert "dogs" not in {p.source for p in training}
    with pytest.raises(UnusableDataError, match="bird"):
        split(find_pictures(folder), ["bird"], 0.1)


def test_a_picture_stays_on_its_side_of_the_split_when_others_come(folder):
    many = [Picture("s", f"{number}.png", folder) for number in range(1000)]
    training, validation = split(many, [], 0.1)
    assert 60 < len(validation) < 140
    assert split(many[::3], [], 0.1)[1] == [p for p in many[::3] if p in validation]
    assert len(training) + len(validation) == 1000


def test_crops_stay_within_the_picture_and_have_the_size():
    rng = np.random.default_rng(0)
    for shape in [(3, 3), (40, 90), (128, 128), (300, 50)]:
        assert crop(colorful(size=shape), rng, size=64, smallest=0.5).shape == (64, 64, 3)


def test_colors_are_those_of_the_area_average():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    ab = ab_of(red)
    assert ab.shape == (2, 8, 8)
    assert ab[:, 0, 0] == pytest.approx([80.1, 67.2], abs=0.3)  # CIE 15 for sRGB red


def test_gray_is_told_from_color():
    assert is_gray(np.full((50, 50, 3), 128, np.uint8))
    assert not is_gray(colorful())


def test_hints_tell_true_colors_and_nothing_elsewhere():
    ab = np.full((2, 16, 16), 25.0, np.float32)
    hints = some_hints(ab, np.random.default_rng(0))
    told = hints[2] == 1
    assert 0 < told.sum() < 200
    assert (hints[:2, told] == 0.5).all()
    assert (hints[:, ~told] == 0).all()


@pytest.fixture
def kaggle(tmp_path):
    for part in ("train", "test"):
        for number in range(3):
            rgb = colorful(number)
            write(tmp_path / "k" / f"{part}_color" / f"image{number}.jpg", rgb)
            write(tmp_path / "k" / f"{part}_black" / f"image{number}.jpg", np.repeat(rgb[..., :1], 3, axis=2))
    return tmp_path / "k"


def test_gray_twins_are_passed_over_where_the_truth_lies_beside_them(kaggle):
    assert {p.source for p in find_pictures(kaggle)} == {"train_color", "test_color"}
    below = find_pictures(kaggle.parent)  # the same as one collection among others
    assert {p.name.split("/")[1] for p in below} == {"train_color", "test_color"}


def test_a_folder_that_is_only_called_black_stays(tmp_path):
    write(tmp_path / "train_black" / "horse.png", colorful())
    assert len(find_pictures(tmp_path)) == 1


def test_a_test_part_is_never_trained_on_whatever_is_held_back(kaggle):
    write(kaggle / "birds" / "b.png", colorful(9))
    for held_back, expected in [([], {"test_color"}), (["birds"], {"test_color", "birds"})]:
        training, validation = split(find_pictures(kaggle), held_back, 0.5)
        assert {p.source for p in validation} == expected
        assert "train_color" in {p.source for p in training}
        assert not any(p.test for p in training)


def test_a_survey_counts_each_source_and_names_the_damaged(folder):
    found = survey(find_pictures(folder))
    assert list(found) == ["cats", "dogs", "gray"]
    assert (found["cats"].read, found["cats"].usable) == (4, 3)
    assert found["cats"].damaged == ["cats/damaged.png"]
    assert (found["gray"].gray, found["gray"].usable) == (1, 0)


def test_the_survey_is_a_command_that_fails_where_nothing_can_be_learned(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["data", str(folder)])
    data.main()
    said = capsys.readouterr().out
    assert "damaged: cats/damaged.png" in said
    assert "all" in said
    monkeypatch.setattr("sys.argv", ["data", str(folder / "gray")])
    with pytest.raises(SystemExit, match="nothing that colors"):
        data.main()


def test_a_survey_of_a_sample_looks_at_so_many(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["data", str(folder), "--sample", "5"])
    data.main()
    assert "6 pictures, of which 5 are looked at" in capsys.readouterr().out


def test_a_forked_process_opens_its_shards_itself(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as shard:
        shard.writestr("x.png", cv2.imencode(".png", colorful())[1].tobytes())
    opened = []

    def watched(path):
        opened.append(path)
        return zipfile_of(path)

    zipfile_of = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", watched)
    picture = Picture("s", "x.png", tmp_path, "a.zip")
    for process in (1, 1, 2):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        assert picture.read() is not None
    assert len(opened) == 2
