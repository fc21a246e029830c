"""A borrowed GPU is used in pieces: data goes there and results come back in files below a limit."""

import json

import cv2
import numpy as np
import onnx
import pytest

from streamcolor.picture import load_model
from training import gpu
from training.pictures import UnusableDataError, find_pictures
from training.pieces import absent, cut, join, pack


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(16):
        (folder / f"source{number % 2}").mkdir(exist_ok=True)
        small = rng.integers(0, 256, (4, 4, 3), np.uint8)
        picture = cv2.resize(small, (240, 200), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"source{number % 2}" / f"{number}.png"), picture)
    (folder / "source0" / "damaged.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def packed(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    pack(find_pictures(pictures), folder, limit=8000)
    return folder


class TestPieces:
    def test_each_is_below_the_limit_and_all_are_training_data(self, packed):
        pieces = list(packed.glob("*.zip"))
        assert len(pieces) > 1
        assert max(piece.stat().st_size for piece in pieces) <= 8000
        found = find_pictures(packed)
        assert sorted({picture.source for picture in found}) == ["source0", "source1"]
        assert len(found) == 16
        assert found[0].read().shape == (160, 192, 3)

    def test_shards_are_packed_again_without_loss(self, packed, tmp_path):
        pack(find_pictures(packed), tmp_path, limit=100_000)
        before, after = (
            sorted(picture.read().tobytes() for picture in find_pictures(folder)) for folder in (packed, tmp_path)
        )
        assert before == after

    def test_a_limit_below_a_picture_and_no_picture_at_all_are_errors(self, pictures, tmp_path):
        with pytest.raises(UnusableDataError, match="larger than a piece of 700 bytes"):
            pack(find_pictures(pictures), tmp_path / "a", limit=700)
        with pytest.raises(UnusableDataError, match="no picture to pack"):
            pack([], tmp_path / "b", limit=9000)

    def test_a_piece_that_was_forgotten_is_named(self, packed, tmp_path):
        (tmp_path / "index.csv.gz").write_bytes((packed / "index.csv.gz").read_bytes())
        (tmp_path / "piece-000.zip").write_bytes((packed / "piece-000.zip").read_bytes())
        missing = absent(find_pictures(tmp_path))
        assert "piece-001.zip" in missing
        assert "piece-000.zip" not in missing
        assert absent(find_pictures(packed)) == []

    def test_a_file_is_cut_and_joined_and_a_lost_part_is_noticed(self, tmp_path):
        file = tmp_path / "net.onnx"
        file.write_bytes(bytes(range(250)) * 10)
        parts = cut(file, limit=999)
        assert [part.stat().st_size for part in parts] == [999, 999, 502]
        file.unlink()
        assert list(join(parts[::-1])) == [file]
        assert file.read_bytes() == bytes(range(250)) * 10
        with pytest.raises(UnusableDataError, match=r"net\.onnx: part 1 is missing"):
            list(join([parts[0], parts[2]]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_pieces_of_time_add_up_to_a_trained_exported_and_evaluated_network(packed, tmp_path, monkeypatch, capsys):
    (tmp_path / "sets" / "one").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "sets" / "one" / "1.png"), find_pictures(packed)[0].read()[:64, :64])
    config = tmp_path / "seed.yaml"
    config.write_text("data: .\nshape: seed\nbatch: 2\nsize: 64\nworkers: 0\n")
    out = tmp_path / "run"
    given = ["run", packed, "--config", config, "--out", out, "--eval", tmp_path / "sets", "--steps", "2", "--mib", "1"]

    def call(minutes):
        monkeypatch.setattr("sys.argv", ["gpu", *map(str, given), "--minutes", str(minutes)])
        try:
            gpu.main()
        except SystemExit as end:
            return end.code
        return 0

    assert call(0) == gpu.AGAIN
    assert gpu.steps_done(out / "last.pt") == 1
    assert call(0) == gpu.AGAIN  # trained, but no time left for the rest
    assert not (out / "seed.onnx").exists()
    assert call(5) == 0
    assert json.loads((out / "figures.json").read_text())["sets"].keys() == {"one"}
    assert "all is done" in capsys.readouterr().out
    whole = (out / "seed.onnx").read_bytes()
    (out / "seed.onnx").unlink()
    monkeypatch.setattr("sys.argv", ["gpu", "join", *map(str, out.glob("seed.onnx.part-*"))])
    gpu.main()
    assert (out / "seed.onnx").read_bytes() == whole
    with load_model(out / "seed.onnx") as model:
        assert model.backend.network.precision == "int8"
        assert (model.predict(np.zeros((48, 80), np.uint8))[1] == 1).all()
    assert [entry.name for entry in onnx.load(out / "seed-fp32.onnx").graph.input] == ["light", "vividness"]


def test_training_does_not_begin_without_all_pieces(packed, tmp_path, monkeypatch):
    (tmp_path / "index.csv.gz").write_bytes((packed / "index.csv.gz").read_bytes())
    monkeypatch.setattr("sys.argv", ["gpu", "run", str(tmp_path), "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit, match=r"not there: piece-000\.zip"):
        gpu.main()


def test_packing_is_a_command_that_says_what_it_wrote(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu", "pack", str(pictures), str(tmp_path / "p"), "--mib", "0.01"])
    gpu.main()
    said = capsys.readouterr().out.splitlines()
    written = [line.split()[0].rpartition("/")[2] for line in said]
    assert sorted(written) == sorted(path.name for path in (tmp_path / "p").iterdir())
    assert written[-1] == "index.csv.gz"
