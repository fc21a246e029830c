"""Measure how cost grows: with resolution, streams, batch, threads, length and the network's size.

About twelve minutes on two cores, a fifth of that with --quick; what is asked for by name is measured alone.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from clips import gray_clip
from measure import RESULTS, interleaved, write

from streamcolor.backends import known_models, open_backend
from streamcolor.bench.clip import SIZES
from streamcolor.bench.measure import Cost, cost_of, median, ratio, run
from streamcolor.bench.pipeline import Output, Pipeline
from streamcolor.chroma import network_size
from streamcolor.worker import usable_cores

HERE = Path(__file__).parent
ON_CORES = "import os, sys; os.sched_setaffinity(0, {}); from streamcolor.__main__ import main; main()"


def main() -> None:
    """Read the command line, measure, write results/growth.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="a real video")
    parser.add_argument("questions", nargs="*", help=f"of {', '.join(QUESTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter clips, no 4K")
    given = parser.parse_args()
    if unknown := set(given.questions) - set(QUESTIONS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose {', '.join(QUESTIONS)}")
    file = RESULTS / "growth.json"
    known: dict[str, Any] = json.loads(file.read_text()) if given.questions and file.exists() else {}
    known.pop("machine", None)
    found = {"clip": given.clip.name, "quick": given.quick}
    with TemporaryDirectory() as folder:
        for name in given.questions or QUESTIONS:
            print(f"== {name}", file=sys.stderr, flush=True)
            found[name] = QUESTIONS[name](given.clip, Path(folder), quick=given.quick)
    write("growth", known | found)


def resolution(source: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return ms a frame, the ratio to the transcode, and peak memory, for each size."""
    found = {}
    for name, size in SIZES.items():
        if not (quick and name in ("1440p", "4k")):
            clip = folder / "gray.mp4"
            frames = gray_clip(source, clip, seconds=4 if quick else 8, size=size)
            found[name] = against_transcode(clip, frames, 1 if quick else 3)
    return found


def against_transcode(clip: Path, frames: int, rounds: int) -> dict[str, Any]:
    """Return what coloring a clip costs, beside a transcode."""
    out = str(clip.with_name("out.mp4"))
    programs = {
        "transcode": lambda: run([sys.executable, str(HERE / "transcode.py"), str(clip), out]),
        "streamcolor": lambda: run([*PROGRAM, str(clip), out, "-y", "--quiet"]),
    }
    costs = interleaved(programs, rounds)
    ours = costs["streamcolor"]
    return {
        "frames": frames,
        "wall_ms": round(median(ours, "wall") / frames * 1000, 2),
        "cpu_ms": round(median(ours, "cpu") / frames * 1000, 2),
        "transcode_cpu_over_ours": ratio(ours, costs["transcode"], "cpu"),
        "peak_mb": round(median(ours, "peak")),
    }


PROGRAM = (sys.executable, "-m", "streamcolor", "run")


def streams(source: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return delay and losses of 1 to 32 cameras of 360p through one network, each with its own encoder."""
    clip = folder / "gray.mp4"
    seconds = 6 if quick else 12
    gray_clip(source, clip, seconds=seconds, size=SIZES["360p"])
    backend = open_backend()
    pipeline = Pipeline(backend, clip, Output(folder, preset="ultrafast"))
    pipeline.color_file()  # compiles
    found = {}
    for count in (1, 4, 16) if quick else (1, 2, 4, 8, 16, 32):
        found[str(count)] = pipeline.color_live(count, seconds=seconds)
        print(count, found[str(count)], file=sys.stderr, flush=True)
    backend.close()
    return found


def batch(_: Path, __: Path, *, quick: bool) -> dict[str, float]:
    """Return ms a picture of the network alone, by how many it gets at once."""
    backend = open_backend()
    size = network_size(1280, 720, pixels=backend.network.pixels, stride=backend.network.stride)
    counts = (1, 2, 4, 8, 16)
    found = pictures({str(count): (backend, (count, 1, *size[::-1])) for count in counts}, 5 if quick else 25)
    backend.close()
    return found


def network(_: Path, __: Path, *, quick: bool) -> dict[str, float]:
    """Return ms a picture of each shipped network, and of tiny with a smaller or larger input."""
    opened = {name: open_backend(model=name, threads=1) for name in known_models()}
    works = {}
    for name, backend in opened.items():
        for scale in (0.25, 0.5, 1, 2, 4) if name == "tiny" else (1,):
            pixels = round(backend.network.pixels * scale)
            width, height = network_size(1280, 720, pixels=pixels, stride=backend.network.stride)
            works[f"{name} {width}x{height}"] = (backend, (1, 1, height, width))
    found = pictures(works, 5 if quick else 25)
    for backend in opened.values():
        backend.close()
    return found


def pictures(works: dict[str, Any], rounds: int) -> dict[str, float]:
    """Return wall ms a picture for (backend, shape) by name."""
    random = np.random.default_rng(0)

    def work(backend: Any, shape: tuple[int, ...]) -> Callable[[], Cost]:
        light = (random.random(shape) * 100).astype(np.float32)
        predict = partial(backend.predict, light, vividness=backend.network.vividness)
        predict()  # compiles
        return lambda: cost_of(predict)

    costs = interleaved({name: work(*each) for name, each in works.items()}, rounds)
    return {name: round(median(each, "wall") * 1000 / works[name][1][0], 3) for name, each in costs.items()}


def threads(source: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return ms a frame of 720p on one core and on more."""
    clip, out = folder / "gray.mp4", str(folder / "out.mp4")
    frames = gray_clip(source, clip, seconds=4 if quick else 12, size=SIZES["720p"])
    cores = sorted(os.sched_getaffinity(0))
    counts = [count for count in (1, 2, 4, 8, 16) if count <= usable_cores()]
    programs = {
        str(count): partial(
            run, [sys.executable, "-c", ON_CORES.format(set(cores[:count])), "run", str(clip), out, "-y", "--quiet"]
        )
        for count in counts
    }
    costs = interleaved(programs, 1 if quick else 3)
    return {
        name: {
            what: round(statistics.median(getattr(c, what) for c in each) / frames * 1000, 2)
            for what in ("wall", "cpu")
        }
        for name, each in costs.items()
    }


def length(source: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return peak memory and ms a frame of 720p by seconds of film."""
    found = {}
    for seconds in (5, 20) if quick else (10, 60, 300):
        clip = folder / "gray.mp4"
        frames = gray_clip(source, clip, seconds=seconds, size=SIZES["720p"])
        cost = run([*PROGRAM, str(clip), str(folder / "out.mp4"), "-y", "--quiet"])
        found[str(seconds)] = {
            "frames": frames,
            "peak_mb": round(cost.peak),
            "cpu_ms": round(cost.cpu / frames * 1000, 2),
        }
        print(seconds, found[str(seconds)], file=sys.stderr, flush=True)
    return found


QUESTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "resolution": resolution,
    "streams": streams,
    "batch": batch,
    "threads": threads,
    "length": length,
    "network": network,
}


if __name__ == "__main__":
    main()
