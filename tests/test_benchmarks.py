"""The benchmarks' own arithmetic: shapes of other networks, tables and charts of figures."""

import subprocess
import sys
from importlib import import_module

import pytest
import torch


@pytest.fixture
def root(request):
    return request.config.rootpath


@pytest.fixture
def shapes(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return import_module("peer_shapes")


@pytest.fixture
def tables(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return import_module("growth_report")


def parameters(make):
    with torch.device("meta"):
        return sum(tensor.numel() for tensor in make().parameters()) / 1e6


class TestOtherNetworks:
    def test_they_are_as_large_as_the_published_ones(self, shapes):
        assert parameters(shapes.zhang_2016) == pytest.approx(32.24, rel=0.01)
        assert parameters(shapes.DDColorTiny) == pytest.approx(55.0, rel=0.01)
        assert parameters(shapes.DeOldifyVideo) == pytest.approx(874 / 4, rel=0.01)  # its checkpoint's MB

    def test_each_gives_colors_of_its_input_s_size(self, shapes):
        with torch.device("meta"), torch.inference_mode():
            assert shapes.zhang_2016()(torch.rand(1, 1, 64, 64)).shape == (1, 2, 64, 64)
            assert shapes.DDColorTiny()(torch.rand(1, 3, 64, 64)).shape == (1, 2, 64, 64)
            assert shapes.DeOldifyVideo()(torch.rand(1, 3, 80, 80)).shape == (1, 3, 80, 80)


GROWTH = {
    "quick": True,
    "resolution": {
        "720p": {
            "frames": 9,
            "wall_ms": 9.0,
            "cpu_ms": 16.0,
            "transcode_cpu_over_ours": {"median": 0.8},
            "peak_mb": 300,
        }
    },
    "streams": {"4": {"lost": 0.25, "delay_ms": {"p50": 5.0, "p95": 9.0, "p99": 12.0}, "processor": 0.5}},
    "batch": {"1": 2.0, "2": 1.9},
    "network": {"tiny 256x128": 2.0},
    "threads": {"1": {"wall": 18.0, "cpu": 17.0}, "2": {"wall": 9.0, "cpu": 17.0}},
    "length": {"10": {"frames": 250, "cpu_ms": 16.0, "peak_mb": 301}},
}


class TestTables:
    def test_every_question_of_growth_has_a_table_and_a_chart(self, tables):
        text = tables.growth_table(GROWTH)
        assert "| 720p | 9.0 | 16.0 | 0.8 | 300 |" in text
        assert "| 4 | 25.0% | 5.0 | 9.0 | 12.0 | 50% |" in text
        assert text.count("|---|") == len(GROWTH) - 1 == len(tables.growth_charts(GROWTH))
        assert "--quick" in text
        assert "--quick" not in tables.growth_table(GROWTH | {"quick": False})

    def test_bars_are_the_figures(self, tables):
        sizes, cameras, *_ = tables.growth_charts(GROWTH)
        assert [(bar.name, bar.value) for bar in sizes.bars] == [("720p", 16.0)]
        assert cameras.bars[0].said == "9 ms, 25.0% lost"

    def test_stages_are_added_up(self, tables):
        own = {"median": 0.02, "least": 0.01, "most": 0.03}
        found = {"cpu_ms": {"720p": {"shrink": 0.1, "gate": 0.2}}, "python_cpu_ms": {"hand-overs": own}}
        text = tables.stages_table(found)
        assert "| 720p | 0.1 | 0.2 | 0.3 |" in text
        assert "| hand-overs | 0.02 | 0.01 to 0.03 |" in text

    def test_the_limit_has_a_row_for_each_setting(self, tables):
        spread = {"median": 0.8, "least": 0.7, "most": 0.9}
        one = {
            "cpu_ms": {"transcode": 12.0, "streamcolor": 15.0},
            **dict.fromkeys(
                ("transcode_over_ours", "transcode_over_every_frame", "colored_transcode_over_ours"), spread
            ),
            "peak_mb": 300,
        }
        text = tables.limit_table({"settings": {"720p:veryfast": one}})
        assert "| 720p veryfast | 12.0 | 15.0 | 0.8 (0.7 to 0.9) |" in text

    def test_other_networks_say_what_is_published_of_them(self, tables):
        one = {"input": [1, 256, 256], "parameters_m": 32.2, "published": "", "gflop": 83.5, "fps": 1.7}
        found = {"networks": {"Zhang 2016": one}}
        assert "| Zhang 2016 | 256x256 | 32.2 | - | 83.5 | 1.7 |" in tables.peers_table(found)
        assert [bar.value for bar in tables.peers_charts(found)[0].bars] == [1.7]


@pytest.mark.parametrize("script", ["growth", "limit", "stages", "peers"])
def test_a_script_says_how_long_it_takes(root, script):
    command = [sys.executable, root / "benchmarks" / f"{script}.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "minute" in done.stdout


def test_every_script_is_in_their_readme(root):
    text = (root / "benchmarks" / "README.md").read_text()
    scripts = [path for path in (root / "benchmarks").glob("*.py") if "ArgumentParser" in path.read_text()]
    assert scripts
    assert [path.name for path in scripts if f"`{path.name}" not in text] == []
