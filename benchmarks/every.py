"""Measure what it costs in color to predict only when the picture changes (`--every auto`).

Clips in color lose their color, are colored again frame by frame and with `auto`, and both are compared with the truth.
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


def main() -> None:
    """Read the command line, measure, write results/every.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+", help="videos in color")
    parser.add_argument("--frames", type=int, default=150, help="of each clip (default 150)")
    given = parser.parse_args()
    backend = open_backend()
    write("every", {"clips": {clip.name: measure(clip, backend, given.frames) for clip in given.clips}})


def measure(clip: Path, backend: Backend, count: int) -> dict[str, float]:
    """Return PSNR in dB against the truth, for every frame predicted and for `auto`, and the part that it predicts."""
    source = AvSource(clip.name, str(clip))
    each, auto = (Colorizer(backend, when_colored="replace", every=every) for every in (1, "auto"))
    errors = []
    frames = (item for item in source if isinstance(item, Frame))
    for frame in islice(frames, count):
        truth = small_rgb(frame)
        errors.append([np.mean((small_rgb(colorizer([frame])[0]) - truth) ** 2) for colorizer in (each, auto)])
    source.close()
    psnr = -10 * np.log10(np.mean(errors, axis=0))
    part = 1 - auto.counts.reused / auto.counts.frames
    return {"every_frame": round(float(psnr[0]), 2), "auto": round(float(psnr[1]), 2), "predicted": round(part, 2)}


def small_rgb(frame: Frame) -> np.ndarray:
    """Return R'G'B' of a frame at the size of its chroma."""
    cb, cr = frame.chroma
    down, across = (round(large / small) for large, small in zip(frame.luma.shape, cb.shape, strict=True))
    return rgb_from_ycbcr(frame.luma[::down, ::across], cb, cr, frame.space)


if __name__ == "__main__":
    main()
