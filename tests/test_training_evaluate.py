"""Figures mean what they say: of pictures beside gray and the truth, of videos over time; the page shows them."""

import json
import sys
import types

import cv2
import numpy as np
import pytest
import torch
from clips import make_clip
from networks import write_network

from streamcolor.picture import load_model
from training import evaluate, evaluate_video, perceptual
from training.accuracy import accuracy, palette_for, palette_in
from training.page import write_page
from training.perceptual import Perceived, missing
from training.temporal import distribution_consistency, motion


def colorful(seed=0, size=(64, 80)):
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def model(tmp_path):
    with load_model(write_network(tmp_path / "toy.onnx")) as loaded:
        yield loaded


class TestAccuracy:
    PALETTE = np.array([[0, 0], [60, 40], [-60, 40], [0, -60]], np.float32)

    def test_the_truth_is_always_right_and_gray_only_on_gray(self):
        picture = np.zeros((16, 32, 3), np.uint8)
        picture[:, :8] = (200, 30, 30)
        gray = np.full_like(picture, 90)
        assert accuracy(picture, picture, self.PALETTE) == 1
        assert accuracy(picture, gray, self.PALETTE) == 0.75

    def test_a_shade_of_the_right_color_is_right(self):
        red, other = np.full((2, 8, 8, 3), (200, 30, 30), np.uint8)
        other[:] = (170, 40, 40)
        assert accuracy(red, other, self.PALETTE) == 1

    def test_a_network_without_a_palette_is_measured_with_the_shipped_ones(self, tmp_path):
        toy = write_network(tmp_path / "toy.onnx")
        assert palette_in(toy) is None
        palette = palette_for(toy)
        assert palette.shape[1] == 2
        assert len(palette) > 50
        assert 40 < np.abs(palette).max() < 128


class TestPictures:
    @pytest.fixture
    def data(self, tmp_path):
        for number in range(3):
            (tmp_path / "sets" / "birds").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "sets" / "birds" / f"{number}.png"), colorful(number))
        return tmp_path / "sets"

    def test_everything_is_written_where_it_was_asked_for(self, data, tmp_path, monkeypatch, capsys):
        toy = write_network(tmp_path / "toy.onnx")
        out, sheets, page = tmp_path / "figures.json", tmp_path / "sheets", tmp_path / "page" / "index.html"
        given = [str(toy), str(data), "-o", str(out), "--sheets", str(sheets), "--page", str(page)]
        monkeypatch.setattr("sys.argv", ["evaluate", *given])
        monkeypatch.setattr(perceptual, "find_spec", lambda _: None)
        evaluate.main()
        written = json.loads(out.read_text())
        truth, gray = written["sets"]["birds"]["truth"], written["sets"]["birds"]["gray"]
        assert (truth["ciede2000"], truth["palette_accuracy"]) == (0, 1)
        assert gray["palette_accuracy"] < 0.5
        assert gray["colorfulness"] == pytest.approx(0, abs=1e-3)
        assert gray["delta_colorfulness"] == pytest.approx(truth["colorfulness"], abs=1e-3)
        assert truth["lpips"] is None
        assert "LPIPS is absent: the package torchmetrics is not installed" in written["notes"]
        assert "FID is absent" in capsys.readouterr().out
        assert 'src="../sheets/birds.jpg"' in page.read_text()

    def test_sets_are_joined_by_their_pictures_and_one_without_colors_has_no_figures(self, data, tmp_path):
        for number in range(6):
            (data / "fish").mkdir(exist_ok=True)
            (data / "film").mkdir(exist_ok=True)
            cv2.imwrite(str(data / "fish" / f"{number}.png"), colorful(10 + number))
            gray = cv2.cvtColor(colorful(number), cv2.COLOR_BGR2GRAY)
            cv2.imwrite(str(data / "film" / f"{number}.png"), np.repeat(gray[..., None], 3, 2))
        out = tmp_path / "figures.json"
        evaluate.measure(
            str(write_network(tmp_path / "toy.onnx")), data, out, sheets=tmp_path, page=tmp_path / "p.html"
        )
        written = json.loads(out.read_text())
        assert list(written["sets"]) == ["birds", "fish", "overall"]
        assert "film is black-and-white itself: it has no figures" in written["notes"]
        assert (tmp_path / "film.jpg").exists()
        three, six, nine = (written["sets"][name]["gray"] for name in written["sets"])
        assert nine["pictures"] == 9
        assert nine["psnr"] == pytest.approx((three["psnr"] + 2 * six["psnr"]) / 3)
        assert nine["fid"] is None

    def test_a_set_without_a_readable_picture_costs_the_others_nothing(self, data, tmp_path):
        (data / "empty").mkdir()
        (data / "torn").mkdir()
        (data / "torn" / "a.png").write_bytes(b"not a picture")
        out = tmp_path / "figures.json"
        sheets, page = tmp_path / "sheets", tmp_path / "page.html"
        evaluate.measure(str(write_network(tmp_path / "toy.onnx")), data, out, sheets=sheets, page=page)
        told = json.loads(out.read_text())
        assert told["sets"]
        assert not told["sets"].keys() & {"empty", "torn"}
        assert sum("holds no picture that can be read" in note for note in told["notes"]) == 2
        assert "torn.jpg" not in page.read_text()

    def test_the_page_leaves_out_what_nobody_has_and_trusts_no_name(self, tmp_path):
        rows = {"gray": {"psnr": 20.123, "fid": None}, "<ours>": {"psnr": None, "fid": None}}
        write_page(tmp_path / "p.html", title="a & b", sets={"s": rows}, notes=["n"], sheets={})
        text = (tmp_path / "p.html").read_text()
        assert "<td>20.12</td>" in text
        assert "fid" not in text
        assert "&lt;ours&gt;" in text
        assert "a &amp; b" in text


class TestPerceptual:
    def test_weights_that_are_not_here_are_named_not_downloaded(self, tmp_path, monkeypatch):
        monkeypatch.setattr(perceptual, "find_spec", lambda _: object())
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        assert missing("lpips") == f"its weights alexnet-owt-7be5be79.pth are not in {tmp_path / 'checkpoints'}"

    def test_with_weights_both_figures_are_taken(self, monkeypatch):
        class Fake:
            def __init__(self, **_):
                self.seen = []

            def update(self, *pictures, real=None):
                self.seen.append(([tuple(picture.shape) for picture in pictures], pictures[0].dtype, real))

            def compute(self):
                return torch.tensor(float(len(self.seen)))

        for name, kind in [("lpip", "LearnedPerceptualImagePatchSimilarity"), ("fid", "FrechetInceptionDistance")]:
            monkeypatch.setitem(sys.modules, f"torchmetrics.image.{name}", types.SimpleNamespace(**{kind: Fake}))
        monkeypatch.setattr(perceptual, "missing", lambda _: None)
        figures = Perceived()
        figures.add(colorful(0), colorful(1))
        assert (figures.lpips(), figures.fid()) == (1, None)
        figures.add(colorful(0), colorful(1))
        assert figures.fid() == 4
        assert figures._fid.seen[0] == ([(1, 3, 64, 80)], torch.uint8, True)
        assert figures._lpips.seen[0][1] == torch.float32


def drifting(count=6, seed=0, step=2):
    wide = colorful(seed, (64, 120))
    rng = np.random.default_rng(1)
    wide = np.clip(wide.astype(int) + rng.integers(-25, 25, wide.shape[:2])[..., None], 0, 255).astype(np.uint8)
    wide = cv2.GaussianBlur(wide, (0, 0), 1)
    return [wide[:, place * step : place * step + 80] for place in range(count)]


class TestTime:
    def test_what_only_moves_has_hardly_any_warping_error_and_flicker_has(self):
        before, after = drifting(2)
        followed = motion(evaluate.gray_of(before), evaluate.gray_of(after))
        one, two = (np.asarray(rgb / 255, np.float32) for rgb in (before, after))
        still = float(((two - one) ** 2).mean())
        assert followed.seen.mean() > 0.6
        assert followed.error(one, two) < still / 4
        assert followed.error(one, two * np.float32([1.2, 1, 0.8])) > 4 * followed.error(one, two)

    def test_what_comes_into_the_picture_is_not_held_against_it(self):
        before, after = drifting(2, step=8)
        followed = motion(evaluate.gray_of(before), evaluate.gray_of(after))
        assert not followed.seen[:, -6:].any()

    def test_nothing_seen_is_no_error(self):
        black, white = np.zeros((32, 32), np.uint8), np.full((32, 32), 255, np.uint8)
        followed = motion(black, white)
        nothing = type(followed)(followed.place, np.zeros_like(followed.seen))
        assert nothing.error(np.zeros((32, 32, 3), np.float32), np.ones((32, 32, 3), np.float32)) == 0

    def test_distributions_are_those_of_the_definition(self):
        black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
        assert distribution_consistency([black] * 6) == 0
        # neighbors have nothing in common (ln 2), frames 2 and 4 apart are alike
        assert distribution_consistency([black, white] * 3) == pytest.approx(np.log(2) / 3)
        assert distribution_consistency([black]) == 0

    def test_of_a_clip_the_truth_is_exact_and_a_gray_clip_has_no_truth(self, model):
        rows = evaluate_video.evaluate_clip(model, drifting())
        assert rows["truth"].ciede2000 == 0
        assert rows["gray"].colorfulness < 1e-3 < rows["ours, vividness 0.5"].colorfulness
        assert all(row.warping_error > 0 for row in rows.values())
        gray = [np.repeat(frame[..., :1], 3, axis=2) for frame in drifting()]
        assert {row.psnr for row in evaluate_video.evaluate_clip(model, gray).values()} == {None}

    def test_the_command_measures_every_clip_and_passes_over_a_damaged_one(self, tmp_path, monkeypatch, capsys):
        toy = write_network(tmp_path / "toy.onnx")
        data = tmp_path / "clips"
        data.mkdir()
        make_clip(data / "color.mkv", frames=8, gray=False)
        make_clip(data / "gray.mkv", frames=8)
        (data / "broken.mp4").write_bytes(b"nothing")
        out = tmp_path / "video.json"
        given = [str(toy), str(data), "-o", str(out), "--frames", "6", "--side", "48"]
        monkeypatch.setattr("sys.argv", ["evaluate_video", *given])
        evaluate_video.main()
        assert "broken.mp4: 0 frames could be read" in capsys.readouterr().out
        written = json.loads(out.read_text())
        assert sorted(written["clips"]) == ["color.mkv", "gray.mkv"]
        assert written["clips"]["gray.mkv"]["gray"]["psnr"] is None
        assert written["mean"]["gray"]["psnr"] == written["clips"]["color.mkv"]["gray"]["psnr"]

    def test_a_folder_without_videos_is_said_so(self, tmp_path, monkeypatch):
        toy = write_network(tmp_path / "toy.onnx")
        monkeypatch.setattr("sys.argv", ["evaluate_video", str(toy), str(tmp_path), "-o", str(tmp_path / "x.json")])
        with pytest.raises(SystemExit, match="no video of two frames"):
            evaluate_video.main()
