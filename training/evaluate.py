"""Measure an exported network on folders of pictures: `python -m training.evaluate MODEL.onnx DIR -o figures.json`.

DIR holds one folder a data set. Every picture goes through the very code that colors pictures for a user; a row of
gray (the same luma, no color) stands beside each figure of ours. Sheets show gray | ours | truth; a page shows them
with the figures. LPIPS and FID are there only where torchmetrics finds their pretrained weights on this machine.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from skimage.metrics import structural_similarity

from streamcolor.picture import Model, load_model

from .accuracy import accuracy, palette_for
from .figures import ciede2000, colorfulness, psnr
from .page import write_page
from .perceptual import NEEDS, Perceived, missing
from .pictures import Picture, find_pictures
from .sheet import write_sheet
from .stills import Rgb

VIVIDNESS = (0.0, 0.5)  # the mean color, for PSNR; the default, for the rest
OVERALL = "overall"  # stands beside the data sets
COLORLESS = 5.0  # colorfulness; a set whose truth has less is black-and-white itself


@dataclass(frozen=True, slots=True)
class Row:
    """The means over the pictures of a data set."""

    pictures: int
    psnr: float  # dB, over R, G and B
    ssim: float  # of R, G and B
    ciede2000: float
    colorfulness: float  # Hasler and Süsstrunk's M
    delta_colorfulness: float  # mean distance to the truth's M
    palette_accuracy: float  # part of places with the truth's nearest palette color
    lpips: float | None = None  # less is nearer
    fid: float | None = None  # less is nearer; means little below some thousand pictures


def evaluate(model: Model, pictures: Sequence[Picture], *, sheet: Path | None = None) -> dict[str, Row]:
    """Return a row for gray, for ours at each vividness and for the truth; no rows if no picture can be read."""
    palette = palette_for(model.backend.network.path)
    found: dict[str, list[tuple[float, ...]]] = {}
    perceived: defaultdict[str, Perceived] = defaultdict(Perceived)
    shown: list[list[Rgb]] = []
    for picture in track(pictures, description=pictures[0].folder.name if pictures else ""):
        truth = picture.read()
        if truth is None:
            continue
        gray = np.repeat(gray_of(truth)[..., None], 3, axis=2)
        versions = {"gray": gray}
        for vividness in VIVIDNESS:
            versions[f"ours, vividness {vividness:g}"] = model.colorize(gray, vividness=vividness)
        versions["truth"] = truth
        for name, version in versions.items():
            figures = (*compare(truth, version), accuracy(truth, version, palette))
            found.setdefault(name, []).append(figures)
            perceived[name].add(truth, version)
        shown.append([gray, versions[f"ours, vividness {VIVIDNESS[1]:g}"], truth])
    if sheet is not None and shown:
        write_sheet(sheet, shown[:24])
    return {
        name: replace(
            Row(len(rows), *np.mean(rows, axis=0).tolist()), lpips=perceived[name].lpips(), fid=perceived[name].fid()
        )
        for name, rows in found.items()
    }


def overall(sets: Mapping[str, Mapping[str, Row]]) -> dict[str, Row]:
    """Return the means over the pictures of all sets. FID is no mean, so there is none of it."""
    rows = {}
    for version in next(iter(sets.values())):
        each = [found[version] for found in sets.values()]
        counts = [row.pictures for row in each]
        figures = {
            name: None if None in values else float(np.average(values, weights=counts))
            for name, *values in zip(Row.__slots__, *map(astuple, each), strict=True)
        }
        rows[version] = Row(**figures | {"pictures": sum(counts), "fid": None})  # type: ignore[arg-type]
    return rows


def gray_of(rgb: Rgb) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return Y' (BT.601, full range): what a gray camera would have kept of a picture."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def compare(truth: Rgb, version: Rgb) -> tuple[float, ...]:
    """Return PSNR, SSIM, CIEDE2000, colorfulness and its distance to the truth's, of one picture."""
    exact, ours = (np.asarray(picture / 255, np.float32) for picture in (truth, version))
    smallest = min(7, *(extent - 1 + extent % 2 for extent in truth.shape[:2]))
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        truth, version, channel_axis=2, win_size=smallest
    )
    strength = colorfulness(ours)
    return (
        psnr(exact, ours),
        float(similarity),
        float(ciede2000(exact, ours).mean()),
        strength,
        abs(strength - colorfulness(exact)),
    )


def measure(
    name: str,
    data: Path,
    out: Path,
    *,
    sheets: Path | None = None,
    page: Path | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Evaluate a network on every data set below `data`, or `only` some; write JSON, sheets and a page.

    A set that is black-and-white itself has a sheet, and no figures: there is no truth to compare with.
    """
    notes = [f"{figure.upper()} is absent: {reason}" for figure in NEEDS if (reason := missing(figure))]
    sets: dict[str, dict[str, Row]] = {}
    shown = {}
    with load_model(name) as model:
        for folder in sorted(path for path in data.iterdir() if path.is_dir()):
            if only and folder.name not in only:
                continue
            sheet = sheets / f"{folder.name}.jpg" if sheets else None
            rows = evaluate(model, find_pictures(folder), sheet=sheet)
            if not rows:
                notes.append(f"{folder.name} holds no picture that can be read: it has no figures")
                continue
            if sheet is not None:
                shown[folder.name] = sheet
            if rows["truth"].colorfulness < COLORLESS:
                notes.append(f"{folder.name} is black-and-white itself: it has no figures")
                continue
            sets[folder.name] = rows
            tell(folder.name, rows)
    if len(sets) > 1:
        sets[OVERALL] = overall(sets)
        tell(OVERALL, sets[OVERALL])
    for note in notes:
        print(note)
    figures = {name: {version: asdict(row) for version, row in rows.items()} for name, rows in sets.items()}
    out.write_text(json.dumps({"model": name, "sets": figures, "notes": notes}, indent=1) + "\n")
    if page is not None:
        write_page(page, title=f"What {name} makes of gray", sets=figures, notes=notes, sheets=shown)


def tell(name: str, rows: Mapping[str, Row]) -> None:
    """Print a line for each version."""
    for version, row in rows.items():
        figure = f"PSNR {row.psnr:6.2f}  CIEDE2000 {row.ciede2000:6.2f}  colorfulness {row.colorfulness:5.1f}"
        print(f"{name:12} {version:20} {figure}")


def main() -> None:
    """Read the command line and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a shipped network's name or the path of an .onnx file")
    parser.add_argument("data", type=Path, help="folder with one folder a data set")
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--page", type=Path, help="HTML page to write, with the sheets if there are any")
    parser.add_argument("--sets", nargs="*", help="only these data sets")
    given = parser.parse_args()
    measure(given.model, given.data, given.out, sheets=given.sheets, page=given.page, only=given.sets)


if __name__ == "__main__":
    main()
