"""Measure each stage alone on one thread, and what Python itself costs a frame. About a minute and a half.

Python's own share: the whole engine with frames of 64x64 pixels, a network that answers at once and a sink that writes
nothing, so that only hand-overs and bookkeeping are left; once without any coloring at all, once with the Colorizer.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from clips import gray_clip
from measure import interleaved, write

from streamcolor.backends import Backend, Network, Prediction, open_backend
from streamcolor.bench.measure import Cost, cost_of, spread
from streamcolor.bench.pipeline import Output
from streamcolor.bench.stages import Sample, Stages
from streamcolor.colorizer import Colorizer
from streamcolor.engine import Colorize, Engine, Feed
from streamcolor.frames import ColorSpace, Frame, StreamInfo

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
PIXELS = ("shrink", "gate", "color", "enlarge")  # all that is done to pixels but by FFmpeg and the network
FRAMES = 4000  # of 64x64


def main() -> None:
    """Read the command line, measure, write results/stages.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="a real video")
    parser.add_argument("--rounds", type=int, default=15, help="rounds (default 15)")
    given = parser.parse_args()
    sizes = {name: pixel_work(given.clip, size, given.rounds) for name, size in SIZES.items()}
    works = {"hand-overs": lambda: python_alone(Untouched()), "with the Colorizer": lambda: python_alone(colorizer())}
    costs = interleaved(works, given.rounds)
    own = {name: spread(cost.cpu / FRAMES * 1000 for cost in each) for name, each in costs.items()}
    write("stages", {"clip": given.clip.name, "cpu_ms": sizes, "python_cpu_ms": own})


def pixel_work(source: Path, size: tuple[int, int], rounds: int) -> dict[str, float]:
    """Return processor milliseconds a frame of each stage that touches pixels."""
    backend = open_backend(threads=1)
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "gray.mp4"
        frames = gray_clip(source, clip, seconds=4, size=size)
        sample = Sample.of(clip, frames)
        works = Stages(sample, backend, Output(Path(folder)).sink).works()
        costs = interleaved({name: works[name] for name in PIXELS}, rounds)
    backend.close()
    return {name: round(statistics.median(cost.cpu for cost in each) * 1000, 3) for name, each in costs.items()}


def python_alone(colorize: Colorize) -> Cost:
    """Return what it costs to send frames through an engine that has nothing to do."""
    return cost_of(lambda: Engine(colorize).run([Feed("fake", Fake, Nothing)]))


class Fake:
    """Gives one small gray picture again and again."""

    def __init__(self, stream: str) -> None:
        rate = Fraction(25)
        self.info = StreamInfo(stream, 64, 64, rate=rate, time_base=1 / rate, space=ColorSpace())
        half = np.full((32, 32), 128, np.uint8)
        self._frame = Frame(stream, 0, np.full((64, 64), 100, np.uint8), (half, half), self.info.space, captured=0.0)

    def __iter__(self) -> Iterator[Frame]:
        """Give all of them."""
        return (replace(self._frame, pts=number) for number in range(FRAMES))

    def close(self) -> None:
        """Nothing was open."""


class Nothing:
    """Writes nothing."""

    warnings = ()

    def __init__(self) -> None:
        self.open = self.write = lambda _: None
        self.finish = self.close = lambda: None


class Untouched:
    """Colors nothing."""

    forget: Callable[[str], None] = staticmethod(lambda _: None)

    def __call__(self, frames: list[Frame]) -> list[Frame]:
        """Return them."""
        return frames


class AtOnce:
    """A network that has its answer ready."""

    name, batch = "fake", 4
    network = Network("fake", Path("fake.onnx"), 32, 4096, "fp32")

    def predict(self, light_N1hw: np.ndarray, **_: float) -> Prediction:
        """Return gray."""
        count, _, height, width = light_N1hw.shape
        shape = count, 2, height // 4, width // 4
        return Prediction(np.zeros(shape, np.float32), np.zeros(shape, np.float32)[:, :1])

    def close(self) -> None:
        """Nothing was open."""


def colorizer() -> Colorizer:
    """Return the real one, which asks that network about every frame."""
    backend: Backend = AtOnce()
    return Colorizer(backend, every=1)


if __name__ == "__main__":
    main()
