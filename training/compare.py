"""Say how far apart the colors of two networks are: `python -m training.compare tiny tiny-fp32 DIR -o FILE.json`.

The gate for a quantized network: mean CIEDE2000 below 1, 99th percentile below 4, on every pixel of every picture.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from streamcolor.picture import Model, load_model

from .evaluate import gray_of
from .figures import ciede2000
from .pictures import Picture, find_pictures

MEAN, P99 = 1.0, 4.0


def differences(first: Model, second: Model, pictures: list[Picture]) -> Iterator[NDArray[np.float32]]:
    """Yield CIEDE2000 (H,W) between what two networks make of each picture's luma."""
    for picture in track(pictures, description="compare"):
        rgb = picture.read()
        if rgb is not None:
            one, other = (np.asarray(model.colorize(gray_of(rgb)) / 255, np.float32) for model in (first, second))
            yield ciede2000(one, other)


def main() -> None:
    """Read the command line and compare; exit code 1 if the gate is not passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a shipped network's name or the path of an .onnx file")
    parser.add_argument("reference", help="the same, to compare with")
    parser.add_argument("data", type=Path, help="folder of pictures")
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON file to write")
    given = parser.parse_args()
    with load_model(given.model) as model, load_model(given.reference) as reference:
        pictures = find_pictures(given.data)
        each = np.concatenate([found.ravel() for found in differences(model, reference, pictures)])
    mean, p99 = float(each.mean()), float(np.quantile(each, 0.99))
    result = {"model": given.model, "reference": given.reference, "pictures": len(pictures), "mean": mean, "p99": p99}
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"CIEDE2000 mean {mean:.2f} (gate {MEAN}), p99 {p99:.2f} (gate {P99})")
    if mean >= MEAN or p99 >= P99:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
