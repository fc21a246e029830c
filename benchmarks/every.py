"""Measure what it costs in color to predict only when the picture changes (`--every auto`).

Clips in color lose their color, are colored again frame by frame and with `auto`, and both are compared with the truth.
Flicker is the warping error (training/temporal.py): how much a frame differs from the one before, moved to its place.
"""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from measure import write

from streamcolor.backends import Backend, open_backend
from streamcolor.color import rgb_from_ycbcr
from streamcolor.colorizer import Colorizer
from streamcolor.frames import Frame
from streamcolor.sources.av_source import AvSource
from training.temporal import motion


def main() -> None:
    """Read the command line, measure, write results/every.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+", help="videos in color")
    parser.add_argument("--frames", type=int, default=150, help="of each clip (default 150)")
    given = parser.parse_args()
    backend = open_backend()
    write("every", {"clips": {clip.name: measure(clip, backend, given.frames) for clip in given.clips}})


def measure(clip: Path, backend: Backend, count: int) -> dict[str, float]:
    """Return PSNR against the truth in dB, every frame predicted and `auto`; the latter's flicker and predictions."""
    source = AvSource(clip.name, str(clip))
    colorizers = [Colorizer(backend, when_colored="replace", every=every) for every in (1, "auto")]
    errors, flickers = [], []
    gray, before = None, []
    for frame in islice((item for item in source if isinstance(item, Frame)), count):
        truth = small_rgb(frame)
        after = [small_rgb(colorizer([frame])[0]).astype(np.float32) for colorizer in colorizers]
        errors.append([np.mean((colored - truth) ** 2) for colored in after])
        last, gray = gray, np.rint(255 * truth.mean(2)).astype(np.uint8)
        if last is not None:
            moved = motion(last, gray)
            flickers.append([moved.error(*pair) for pair in zip(before, after, strict=True)])
        before = after
    source.close()
    counts = colorizers[1].counts
    psnr, flicker = -10 * np.log10(np.mean(errors, axis=0)), np.mean(flickers, axis=0)
    return {
        "every_frame": round(float(psnr[0]), 2),
        "auto": round(float(psnr[1]), 2),
        "flicker": round(float(flicker[1] / flicker[0]), 3),
        "predicted": round(1 - counts.reused / counts.frames, 2),
    }


def small_rgb(frame: Frame) -> np.ndarray:
    """Return R'G'B' of a frame at the size of its chroma."""
    cb, cr = frame.chroma
    down, across = (round(large / small) for large, small in zip(frame.luma.shape, cb.shape, strict=True))
    return rgb_from_ycbcr(frame.luma[::down, ::across], cb, cr, frame.space)


if __name__ == "__main__":
    main()
