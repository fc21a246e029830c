"""What work costs, and charts of it."""

import json
import subprocess
import sys
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from streamcolor.bench import measure
from streamcolor.bench.chart import COLORS, Bar, Chart, check_chart, png, svg, write_charts
from streamcolor.bench.measure import Cost, Others, cost_of, interleaved, median, ratio, run, spread
from streamcolor.errors import ConfigError, SinkError


def program(text):
    return [sys.executable, "-S", "-c", text]


class TestPrograms:
    def test_their_peak_memory_is_their_own_and_not_that_of_the_one_who_measures(self):
        ours = np.ones(40_000_000)  # 320 MB, touched
        small, large = run(program("pass")), run(program("x = bytearray(b'a') * 100_000_000"))
        assert small.peak < 60
        assert 100 < large.peak < 200 < ours.nbytes / 1e6

    def test_processor_time_is_counted_where_it_is_used(self):
        busy = "import time\nwhile time.process_time() < 0.3: pass"
        cost = run(program(busy))
        assert 0.3 <= cost.cpu < 2
        assert cost.wall >= 0.29

    def test_a_failure_comes_with_the_programs_own_words(self):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            run(program("import sys; sys.exit('no such clip')"))
        assert (failed.value.returncode, failed.value.stderr) == (1, "no such clip\n")

    def test_its_environment_can_be_changed(self):
        run(program("import os; assert os.environ['COLOR'] == 'gray'"), env={"COLOR": "gray"})


class TestCosts:
    def test_a_call_costs_what_it_takes(self):
        def work():
            until = measure.time.process_time() + 0.05
            while measure.time.process_time() < until:
                pass

        cost = cost_of(work)
        assert cost.cpu >= 0.05
        assert cost.wall >= 0.04

    def test_works_are_done_in_turn_and_watched(self):
        done, seen = [], []

        def work(name):
            done.append(name)
            return Cost(len(done), 0)

        costs = interleaved({"a": lambda: work("a"), "b": lambda: work("b")}, 2, lambda *told: seen.append(told))
        assert done == ["a", "b", "a", "b"]
        assert [cost.wall for cost in costs["b"]] == [2, 4]
        assert seen[-1] == (2, "b", Cost(4, 0))

    def test_a_ratio_is_formed_within_each_round(self):
        ours, theirs = [Cost(1, 2), Cost(10, 20), Cost(2, 4)], [Cost(1, 1), Cost(20, 10), Cost(6, 1)]
        assert ratio(ours, theirs, "wall") == {"median": 2, "least": 1, "most": 3}
        assert median(ours, "cpu") == 4

    def test_a_spread_names_the_middle_and_both_ends(self):
        assert spread([3, 1, 10]) == {"median": 3, "least": 1, "most": 10}


class TestMachine:
    def test_its_description_names_what_figures_depend_on(self):
        found = json.loads(measure.as_json({"fps": 1}))
        assert found["fps"] == 1
        assert found["machine"]["cores"] >= 1
        assert found["machine"]["packages"]["av"]

    def test_packages_that_are_missing_are_left_out(self, monkeypatch):
        monkeypatch.setattr(measure, "PACKAGES", ("av", "no-such-package"))
        assert list(measure.machine()["packages"]) == ["av"]

    def test_what_others_take_is_a_part_of_all_cores_or_unknown(self):
        share = Others().share()
        assert share is None or 0 <= share <= 1

    def test_it_is_unknown_where_the_system_does_not_say(self, monkeypatch):
        monkeypatch.setattr(measure, "_lines", lambda _: [])
        assert Others().share() is None


class TestCharts:
    chart = Chart("Time <ms>", [Bar("decode & co", 2.0, "2 ms"), Bar("network", 4.0, "4 ms", 1), Bar("none", 0.0, "0")])

    def test_bars_are_as_long_as_their_values(self):
        root = ET.fromstring(svg([self.chart, self.chart]))
        bars = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if element.get("x")]
        widths = [int(bar.get("width")) for bar in bars]
        assert len(widths) == 6
        assert widths[0] * 2 == widths[1]
        assert widths[2] == 0
        assert [bar.get("fill") for bar in bars[:2]] == list(COLORS[:2])
        tops = [int(bar.get("y")) for bar in bars]
        assert tops == sorted(tops)
        assert tops[-1] < int(root.get("height"))

    def test_words_are_escaped(self):
        texts = [element.text for element in ET.fromstring(svg([self.chart])).iter() if element.text]
        assert "Time <ms>" in texts
        assert "decode & co" in texts

    def test_a_png_shows_the_same_bars(self):
        picture = cv2.imdecode(np.frombuffer(png([self.chart]), np.uint8), cv2.IMREAD_COLOR)
        blue = tuple(int(COLORS[0][place : place + 2], 16) for place in (5, 3, 1))
        yellow = tuple(int(COLORS[1][place : place + 2], 16) for place in (5, 3, 1))
        counted = [int((picture == color).all(axis=2).sum()) for color in (blue, yellow)]
        assert counted[0] * 2 == pytest.approx(counted[1], rel=0.02)

    def test_a_chart_without_bars_is_only_a_title(self):
        assert svg([Chart("empty", [])]).count("<rect") == 1

    @pytest.mark.parametrize("suffix", [".svg", ".png"])
    def test_it_is_written_as_its_name_says(self, tmp_path, suffix):
        write_charts([self.chart], tmp_path / f"chart{suffix}")
        assert (tmp_path / f"chart{suffix}").read_bytes()[:4] in (b"<svg", b"\x89PNG")

    def test_another_suffix_is_refused_before_the_work(self):
        with pytest.raises(ConfigError, match=r"speed\.jpg: name a file \.svg or \.png"):
            check_chart("speed.jpg")

    def test_a_folder_that_is_missing_is_said_in_one_line(self, tmp_path):
        with pytest.raises(SinkError, match="No such file"):
            write_charts([self.chart], tmp_path / "missing" / "chart.svg")
