"""Measure an exported network on videos: `python -m training.evaluate_video MODEL DIR -o FILE.json`.

Each clip goes through the code that colors videos for a user, which takes colors over from frame to frame. A row of
gray and one of the truth stand beside ours: both flicker too, since light, noise and compression do. Clips that are
gray themselves have no true colors: only how steady and how colorful ours are is told of them.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from rich.progress import track

from streamcolor.color import neutral
from streamcolor.colorizer import Colorizer
from streamcolor.frames import Frame
from streamcolor.picture import JPEG, Model, load_model

from .evaluate import VIVIDNESS, gray_of
from .figures import ciede2000, colorfulness, psnr
from .pictures import is_gray
from .stills import SUFFIXES, Rgb
from .temporal import distribution_consistency, motion

SIDE, FRAMES = 256, 60  # pixels of the short side; frames of a clip
EVERY = 5  # frames between those whose colors are compared with the truth, which takes longest


@dataclass(frozen=True, slots=True)
class Row:
    """The means over the frames of a clip, or over clips."""

    psnr: float | None  # dB; None where the truth is gray
    ciede2000: float | None
    colorfulness: float
    warping_error: float  # mean squared difference to the warped frame before, R, G, B in 0..1
    cdc: float  # Jensen-Shannon divergence of color histograms over 1, 2, 4 frames


def evaluate_clip(model: Model, truth: Sequence[Rgb]) -> dict[str, Row]:
    """Return a row for gray, for ours at each vividness and for the truth, of a clip's frames (H,W,3)."""
    grays = [gray_of(frame) for frame in truth]
    versions = {"gray": [np.repeat(gray[..., None], 3, axis=2) for gray in grays]}
    for vividness in VIVIDNESS:
        versions[f"ours, vividness {vividness:g}"] = colored(model, truth, vividness=vividness)
    versions["truth"] = list(truth)
    motions = [motion(before, after) for before, after in pairwise(grays)]
    known = not all(is_gray(frame) for frame in truth[::EVERY])
    rows = {}
    for name, frames in versions.items():
        units = [np.asarray(frame / 255, np.float32) for frame in frames]
        errors = [each.error(before, after) for each, (before, after) in zip(motions, pairwise(units), strict=True)]
        some = [(np.asarray(truth[place] / 255, np.float32), units[place]) for place in range(0, len(units), EVERY)]
        rows[name] = Row(
            psnr=_mean(psnr(exact, ours) for exact, ours in some) if known else None,
            ciede2000=_mean(float(ciede2000(exact, ours).mean()) for exact, ours in some) if known else None,
            colorfulness=_mean(colorfulness(ours) for _, ours in some),
            warping_error=_mean(errors),
            cdc=distribution_consistency(frames),
        )
    return rows


def colored(model: Model, truth: Sequence[Rgb], *, vividness: float) -> list[Rgb]:
    """Return a clip as the pipeline colors it, one stream from the first frame to the last."""
    colorizer = Colorizer(model.backend, vividness=vividness, when_colored="replace")
    colored_frames = []
    for pts, rgb in enumerate(truth):
        luma = gray_of(rgb)
        nothing = np.full(luma.shape, neutral(JPEG), np.uint8)
        (frame,) = colorizer([Frame("clip", pts, luma, (nothing, nothing), JPEG, captured=0.0)])
        cb, cr = frame.chroma
        merged = cv2.merge((frame.luma, cr, cb))
        colored_frames.append(np.asarray(cv2.cvtColor(merged, cv2.COLOR_YCrCb2RGB), np.uint8))
    return colored_frames


def read_clip(path: Path, *, frames: int = FRAMES, side: int = SIDE) -> list[Rgb]:
    """Return the first frames of a clip as sRGB (H,W,3), its short side `side` pixels; none if it is damaged there."""
    found: list[Rgb] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                factor = side / min(frame.width, frame.height)
                width, height = (round(extent * factor / 2) * 2 for extent in (frame.width, frame.height))
                small = frame.reformat(width, height, "rgb24", interpolation="AREA", threads=1)
                found.append(np.asarray(small.to_ndarray(), np.uint8))
                if len(found) == frames:
                    break
    except (OSError, ValueError, IndexError) as error:
        print(f"{path.name}: {len(found)} frames could be read: {error}")
    return found


def means(clips: Iterable[dict[str, Row]]) -> dict[str, Row]:
    """Return the mean over clips for every row; of what only a clip in color has, the mean over those."""
    listed = list(clips)
    return {name: _mean_row([clip[name] for clip in listed]) for name in listed[0]}


def _mean_row(rows: Sequence[Row]) -> Row:
    known = [(row.psnr, row.ciede2000) for row in rows if row.psnr is not None and row.ciede2000 is not None]
    return Row(
        psnr=_mean(ratio for ratio, _ in known) if known else None,
        ciede2000=_mean(difference for _, difference in known) if known else None,
        colorfulness=_mean(row.colorfulness for row in rows),
        warping_error=_mean(row.warping_error for row in rows),
        cdc=_mean(row.cdc for row in rows),
    )


def main() -> None:
    """Read the command line and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a shipped network's name or the path of an .onnx file")
    parser.add_argument("data", type=Path, help="folder of videos")
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"frames of each clip (default {FRAMES})")
    parser.add_argument("--side", type=int, default=SIDE, help=f"pixels of the short side (default {SIDE})")
    given = parser.parse_args()
    paths = sorted(path for path in given.data.rglob("*") if path.suffix.lower() in SUFFIXES)
    clips = {}
    with load_model(given.model) as model:
        for path in track(paths, description="clips"):
            frames = read_clip(path, frames=given.frames, side=given.side)
            if len(frames) > 1:
                clips[str(path.relative_to(given.data))] = evaluate_clip(model, frames)
    if not clips:
        raise SystemExit(f"{given.data}: no video of two frames or more")
    shown = clips | {"mean": means(clips.values())}
    for name, rows in shown.items():
        for version, row in rows.items():
            near = "" if row.psnr is None else f"PSNR {row.psnr:6.2f}  CIEDE2000 {row.ciede2000:6.2f}  "
            steady = f"warping error {row.warping_error:.5f}  CDC {row.cdc:.5f}"
            print(f"{name[:24]:24} {version:20} {near}colorfulness {row.colorfulness:5.1f}  {steady}")
    tables = {name: {version: asdict(row) for version, row in rows.items()} for name, rows in shown.items()}
    mean = tables.pop("mean")
    result = {"model": given.model, "frames": given.frames, "side": given.side, "clips": tables, "mean": mean}
    given.out.write_text(json.dumps(result, indent=1) + "\n")


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


if __name__ == "__main__":
    main()
