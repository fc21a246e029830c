"""Measure how long it takes until the first frame is out, and until `--help` is printed."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from clips import gray_clip
from measure import write

from streamcolor.bench.measure import run, spread

PROGRAM = [sys.executable, "-m", "streamcolor"]


def main() -> None:
    """Read the command line, measure, write results/start.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, help="a real video; 720p for the committed figures")
    parser.add_argument("--rounds", type=int, default=9, help="rounds (default 9)")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "gray.mp4"
        gray_clip(given.clip, clip, seconds=5)
        first, later = [], []
        for number in range(given.rounds):
            cache = Path(folder) / str(number)
            first.append(first_frame(clip, cache))
            later.append(first_frame(clip, cache))
    helped = [run([*PROGRAM, "--help"]).wall for _ in range(given.rounds)]
    figures = {
        "first_frame_s": spread(later),
        "very_first_frame_s": spread(first),
        "help_s": spread(helped),
    }
    write("start", {"clip": given.clip.name, **figures})


def first_frame(clip: Path, cache: Path) -> float:
    """Seconds from the start of the program until a reader of its output has decoded a frame."""
    began = time.perf_counter()
    environment = os.environ | {"STREAMCOLOR_CACHE": str(cache)}
    command = [*PROGRAM, "run", str(clip), "-", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        with av.open(process.stdout, options={"probesize": "4096", "analyzeduration": "0"}) as output:
            next(output.decode(video=0))
            seconds = time.perf_counter() - began
        process.stdout.close()
        process.kill()
    return seconds


if __name__ == "__main__":
    main()
