"""What a frame costs, counted instead of timed: a change that doubles it cannot land unseen.

Calls and bytes are the same on every machine and under every load. Each budget lies halfway between what is needed now
and twice as much; lower it when you have saved something.
"""

import statistics
import sys
import threading
import tracemalloc
from collections import Counter
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeSink, FakeSource, pictures

import streamcolor
from streamcolor.backends import Network, Prediction, open_backend
from streamcolor.bench.clip import make_up, scene
from streamcolor.bench.measure import cost_of
from streamcolor.bench.pipeline import Output, Pipeline
from streamcolor.colorizer import Colorizer
from streamcolor.engine import Engine, Feed
from streamcolor.frames import ColorSpace, Frame
from streamcolor.sinks.encoders import Layout
from streamcolor.sinks.pictures import to_picture
from streamcolor.sinks.plain import transcode
from streamcolor.sources.av_source import AvSource

COUNTED = tuple(str(Path(package.__file__).parent) for package in (streamcolor, np))
SIZE = WIDTH, HEIGHT = 1280, 720
PLANE = WIDTH * HEIGHT  # bytes of luma


class AtOnce:
    """A network that has its answer ready."""

    name, batch = "fake", 4
    network = Network("fake", Path("fake.onnx"), 32, 4096, "fp32")

    def predict(self, light, *, vividness):  # noqa: ARG002  # as a Backend has it
        count, _, height, width = light.shape
        ab = np.zeros((count, 2, height // 4, width // 4), np.float32)
        return Prediction(ab, ab[:, :1])


def calls_of(work):
    """How many calls of our own and of numpy's functions, and of C functions from there, `work` takes."""
    counts = Counter()

    def count(frame, event, _):
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(COUNTED):
            counts[event] += 1

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return counts


def engine_calls(colorize):
    """Calls for each frame, without what a run costs once."""

    def run(frames):
        feed = Feed("a", lambda stream: FakeSource(stream, pictures(frames)), FakeSink)
        return calls_of(lambda: Engine(colorize).run([feed]))

    few, many = run(100), run(500)
    return {event: (many[event] - few[event]) / 400 for event in many}


def frames(count):
    """Gray pictures of a camera, as from an H.264 file."""
    gray = [np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8) for _ in range(2)]
    return [
        Frame("a", number, luma, tuple(gray), ColorSpace(), captured=0.0)
        for number, luma in enumerate(scene(WIDTH, HEIGHT, count))
    ]


def bytes_at_peak(work):
    """How many bytes of arrays `work` holds at once, at most, beyond those that were there before."""
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TestCalls:
    def test_handing_a_frame_through_all_threads_takes_few(self):
        untouched = type("Untouched", (), {"forget": lambda *_: None, "__call__": lambda _, batch: batch})()
        found = engine_calls(untouched)
        assert found["call"] < 48
        assert found["c_call"] < 55

    @pytest.mark.parametrize(("every", "budget"), [(1, 300), (10**6, 225)])
    def test_coloring_a_frame_takes_few(self, every, budget):
        colorizer, given = Colorizer(AtOnce(), every=every), frames(2)
        colorizer(given[:1])
        assert sum(calls_of(lambda: colorizer(given[1:])).values()) < budget


class TestBytes:
    """Beyond what a frame consists of, in planes of luma."""

    def of_coloring(self, every):
        colorizer, given = Colorizer(AtOnce(), every=every), frames(1)
        return bytes_at_peak(lambda: colorizer(given)) / PLANE

    def test_a_frame_that_shares_colors_needs_its_luma_at_half_the_size(self):
        assert self.of_coloring(10**6) < 0.45

    def test_a_predicted_frame_needs_its_chroma_too(self):
        assert self.of_coloring(1) < 0.8

    def test_exact_lightness_needs_another_luma_and_one_to_add(self):
        colorizer, given = Colorizer(AtOnce(), every=1, lightness="exact"), frames(1)
        assert bytes_at_peak(lambda: colorizer(given)) / PLANE < 3.2

    def test_planes_go_to_the_encoder_without_a_stop(self):
        (given,) = frames(1)
        layout = Layout("yuv420p", 8, (1, 1))
        copy = partial(to_picture, given, layout, time_base=Fraction(1, 25), pts=0, duration=1)
        assert bytes_at_peak(copy) / PLANE < 0.05

    def test_planes_of_a_decoder_are_looked_at_where_they_are(self, tmp_path):
        make_up(tmp_path / "clip.mp4", seconds=0.2, size=SIZE)
        source = AvSource("a", str(tmp_path / "clip.mp4"))
        items = iter(source)
        assert bytes_at_peak(lambda: next(items)) / PLANE < 0.05
        source.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_coloring_costs_not_nearly_twice_what_a_transcode_costs(tmp_path):
    """Processor time, side by side in one run; about 1.3 on two cores."""
    clip = tmp_path / "clip.mp4"
    make_up(clip, seconds=4, size=SIZE)
    backend = open_backend()
    pipeline = Pipeline(backend, clip, Output(tmp_path))
    pipeline.color_file()  # compiles
    options = {"crf": "18", "preset": "veryfast"}
    ratios = [
        pipeline.color_file().cpu / cost_of(lambda: transcode(clip, tmp_path / "plain.mkv", options=options)).cpu
        for _ in range(3)
    ]
    backend.close()
    assert statistics.median(ratios) < 1.9, ratios
