"""Compare coloring with a plain transcode (the limit) and with the usual OpenCV loop."""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from clips import gray_clip
from measure import interleaved, write

from streamcolor.bench.measure import median, ratio, run

HERE = Path(__file__).parent


def main() -> None:
    """Read the command line, measure, write results/end_to_end.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, help="a real video; 720p for the committed figures")
    parser.add_argument("--seconds", type=float, default=30, help="length to loop it to (default 30)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument(
        "--opencv-rounds", type=int, default=2, help="rounds of the OpenCV loop too (default 2: it is slow)"
    )
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "gray.mp4"
        frames = gray_clip(given.clip, clip, seconds=given.seconds)
        result = compare(clip, frames, given.rounds, given.opencv_rounds)
    write("end_to_end", {"clip": given.clip.name, **result})


def compare(clip: Path, frames: int, rounds: int, opencv_rounds: int) -> dict[str, object]:
    """Measure the three programs on one clip."""
    with av.open(str(clip)) as container:
        width, height = container.streams.video[0].width, container.streams.video[0].height
    out = clip.with_name("out.mp4")
    python, ours = sys.executable, [sys.executable, "-m", "streamcolor", "run", str(clip), str(out), "-y", "--quiet"]
    programs = {
        "transcode": lambda: run([python, str(HERE / "transcode.py"), str(clip), str(out)]),
        "streamcolor": lambda: run(ours),
        "streamcolor, every frame": lambda: run([*ours, "--every", "1"]),
    }
    loop = [python, str(HERE / "opencv_route.py"), str(clip), str(out)]
    loops = {
        f"OpenCV loop, {runtime}": partial(run, [*loop, runtime], env={"OMP_NUM_THREADS": str(os.cpu_count())})
        for runtime in ("openvino", "torch")
    }
    short = interleaved({**programs, **loops}, opencv_rounds)
    costs = interleaved(programs, rounds)
    every = {name: [*short[name], *costs.get(name, [])] for name in short}
    return {
        "frames": frames,
        "size": [width, height],
        "milliseconds_per_frame": {
            name: {what: round(median(costs, what) / frames * 1000, 2) for what in ("wall", "cpu")}
            for name, costs in every.items()
        },
        "transcode_cpu_over_ours": ratio(every["streamcolor"], every["transcode"], "cpu"),
        "transcode_cpu_over_ours_every_frame": ratio(every["streamcolor, every frame"], every["transcode"], "cpu"),
        "opencv_wall_over_ours": {name: ratio(short["streamcolor"], short[name], "wall") for name in loops},
    }


if __name__ == "__main__":
    main()
