"""Compare coloring with a plain transcode by processor time, for several sizes and speeds of the encoder.

Two transcodes: that of the gray clip, and that of its colored copy, which is what the encoder's own share of color
costs: nobody who writes colors can be faster than that one. About five minutes on two cores.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from clips import gray_clip
from measure import interleaved, write

from streamcolor.bench.clip import size_named
from streamcolor.bench.measure import median, ratio, run

HERE = Path(__file__).parent
SETTINGS = ("720p:veryfast", "720p:ultrafast", "1080p:veryfast", "1080p:ultrafast")


def main() -> None:
    """Read the command line, measure, write results/limit.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="a real video")
    parser.add_argument("--settings", nargs="+", default=SETTINGS, metavar="SIZE:PRESET", help=" ".join(SETTINGS))
    parser.add_argument("--seconds", type=float, default=20, help="length to loop it to (default 20)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    given = parser.parse_args()
    found = {}
    for setting in given.settings:
        size, _, preset = setting.partition(":")
        print(f"== {setting}", file=sys.stderr, flush=True)
        with TemporaryDirectory() as folder:
            clip = Path(folder) / "gray.mp4"
            frames = gray_clip(given.clip, clip, seconds=given.seconds, size=size_named(size))
            found[setting] = compare(clip, frames, preset, given.rounds)
    write("limit", {"clip": given.clip.name, "settings": found})


def compare(clip: Path, frames: int, preset: str, rounds: int) -> dict[str, object]:
    """Return ms a frame and the ratios, formed within each round."""
    colored, out = str(clip.with_name("colored.mp4")), str(clip.with_name("out.mp4"))
    plain = [sys.executable, str(HERE / "transcode.py")]
    ours = [sys.executable, "-m", "streamcolor", "run", str(clip), colored, "-y", "--quiet", "--preset", preset]
    programs = {
        "streamcolor": partial(run, ours),
        "streamcolor, every frame": partial(run, [*ours[:-2], "--every", "1", "--preset", preset]),
        "transcode": partial(run, [*plain, str(clip), out, preset]),
        "transcode of the colored": partial(run, [*plain, colored, out, preset]),
    }
    costs = interleaved(programs, rounds)
    return {
        "frames": frames,
        "cpu_ms": {name: round(median(each, "cpu") / frames * 1000, 2) for name, each in costs.items()},
        "wall_ms": {name: round(median(each, "wall") / frames * 1000, 2) for name, each in costs.items()},
        "transcode_over_ours": ratio(costs["streamcolor"], costs["transcode"], "cpu"),
        "transcode_over_every_frame": ratio(costs["streamcolor, every frame"], costs["transcode"], "cpu"),
        "colored_transcode_over_ours": ratio(costs["streamcolor"], costs["transcode of the colored"], "cpu"),
        "peak_mb": round(median(costs["streamcolor"], "peak")),
    }


if __name__ == "__main__":
    main()
