"""Measure peak memory, for one minute of video and for ten."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from clips import gray_clip
from measure import write

from streamcolor.bench.measure import run


def main() -> None:
    """Read the command line, measure, write results/memory.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, help="a real video; it is brought to 1080p")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10], help="lengths (default 1 10)")
    given = parser.parse_args()
    peaks = {}
    with TemporaryDirectory() as folder:
        for minutes in given.minutes:
            clip, out = Path(folder) / "gray.mp4", Path(folder) / "out.mp4"
            frames = gray_clip(given.clip, clip, seconds=60 * minutes, size=(1920, 1080))
            cost = run([sys.executable, "-m", "streamcolor", "run", str(clip), str(out), "-y", "--quiet"])
            peaks[f"{minutes:g} min"] = {"frames": frames, "peak_mb": round(cost.peak), "wall_s": round(cost.wall, 1)}
    write("memory", {"clip": given.clip.name, "size": [1920, 1080], "runs": peaks})


if __name__ == "__main__":
    main()
