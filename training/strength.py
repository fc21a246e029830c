"""Choose what vividness does: `python -m training.strength runs/tiny/last.pt --data DIR`.

Tries settings of the exported palette arithmetic on the run's own validation pictures, sources that it was not trained
on, and prints what each costs in CIEDE2000 and gives in colorfulness. Vividness 0 is the mean color in every one.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamcolor.chroma import network_size
from streamcolor.nets.autoencoder import Autoencoder, Predictor

from .config import Settings
from .degrade import luma
from .export import load_checkpoint
from .figures import ciede2000, colorfulness, psnr, with_chroma
from .networks import PIXELS, STRIDE
from .pictures import find_pictures, split, usable

BOOST, SHARPNESS, SPREAD = (0.0, 1.0, 2.0, 3.0), (1.0, 3.0, 6.0), (20.0, 40.0)


class Seen(torch.nn.Module):
    """Gives back logits that were computed before: the network is run once a picture, not once a setting."""

    def __init__(self, network: Autoencoder) -> None:
        super().__init__()
        self.palette, self.prior = network.palette, network.prior

    def forward(self, logits_NQhw: Tensor) -> Tensor:
        """Return the logits."""
        return logits_NQhw


def figures(
    predictor: Predictor, pictures: Sequence[tuple[NDArray[np.uint8], Tensor]], vividness: float
) -> dict[str, float]:
    """Return PSNR, CIEDE2000 and colorfulness (of the truth's) of the mean over pictures (rgb, logits)."""
    gains, errors, ours, truths = [], [], [], []
    for rgb, logits in pictures:
        with torch.inference_mode():
            ab, _ = predictor(logits, torch.tensor([vividness]))
        truth, light = np.asarray(rgb / 255, np.float32), luma(rgb)
        full = np.asarray(
            cv2.resize(np.ascontiguousarray(ab[0].permute(1, 2, 0).numpy()), rgb.shape[1::-1]), np.float32
        )
        colored, gray = (with_chroma(truth, light, chroma) for chroma in (full, np.zeros_like(full)))
        gains.append(psnr(truth, colored) - psnr(truth, gray))
        errors.append(ciede2000(truth[::4, ::4], colored[::4, ::4]).mean())
        ours.append(colorfulness(colored))
        truths.append(colorfulness(truth))
    return {
        "gain": float(np.mean(gains)),
        "ciede2000": float(np.mean(errors)),
        "colorfulness": float(np.sum(ours) / np.sum(truths)),
    }


def logits_of(network: Autoencoder, settings: Settings, count: int) -> Iterator[tuple[NDArray[np.uint8], Tensor]]:
    """Yield validation pictures, at the size that the pipeline would show the network, and its logits for them."""
    _, validation = split(find_pictures(settings.data), settings.held_back, settings.validation_share)
    for _, rgb in usable(validation, count):
        size = network_size(*rgb.shape[1::-1], pixels=PIXELS, stride=STRIDE)
        resized = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        with torch.inference_mode():
            yield resized, network(torch.from_numpy(luma(resized)[None, None]))


def main() -> None:
    """Read the command line and print a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="last.pt of a training run")
    parser.add_argument("--data", type=Path, help="folder of pictures, instead of the one trained on")
    parser.add_argument("--pictures", type=int, default=150, help="how many to measure on (default 150)")
    given = parser.parse_args()
    settings = Settings.model_validate(torch.load(given.checkpoint, weights_only=False)["settings"])
    settings = settings.model_copy(update={"data": given.data} if given.data else {})
    network = load_checkpoint(given.checkpoint)
    pictures = list(logits_of(network, settings, given.pictures))
    seen = Seen(network)
    print("boost sharpness spread vividness    gain CIEDE2000 colorfulness")
    settings_of = [(0.0, 0.0, SPREAD[0], 0.0), *((*each, 0.5) for each in product(BOOST, SHARPNESS, SPREAD))]
    for boost, sharpness, spread, vividness in settings_of:
        predictor = Predictor(seen, boost=boost, sharpness=sharpness, spread=spread, calm=1.0).eval()  # type: ignore[arg-type]
        row = figures(predictor, pictures, vividness)
        print(
            f"{boost:5} {sharpness:9} {spread:6} {vividness:9} {row['gain']:+7.2f} {row['ciede2000']:9.2f} "
            f"{row['colorfulness']:12.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
