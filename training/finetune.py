"""Specialize a network to one camera or archive: `python -m training.finetune --from tiny --data DIR -o mycam`.

DIR holds color pictures and videos, or is one video. Writes mycam.onnx, ready for `streamcolor run --model mycam.onnx`,
mycam-fp32.onnx and a contact sheet of what was held back: gray | before | after | truth. Takes minutes on two cores.
"""

import argparse
import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from rich.progress import track

from streamcolor.errors import StreamcolorError
from streamcolor.nets.autoencoder import Autoencoder

from .config import Settings
from .export import export_both, fitted_calm
from .figures import ciede2000, colorfulness, psnr
from .logbook import progress
from .networks import loss_for
from .pictures import Picture, UnusableDataError, find_pictures, usable
from .processes import Process
from .sheet import write_sheet
from .start import Start, start_from
from .state import rate_at
from .stills import moments
from .train import autocast, batches
from .validate import colorize, small

MOST = 600  # pictures that are used, at most
FEWEST = 8
HELD_BACK = 0.2  # part that is not trained on
GAP = 0.05  # part of a single video that lies between what is trained on and what is held back
APART = 0.25  # seconds between the stills of a single video


@dataclass(frozen=True, slots=True)
class Score:
    """Means over the pictures that were held back."""

    psnr: float
    ciede2000: float
    colorfulness: float

    def __str__(self) -> str:
        return f"PSNR {self.psnr:6.2f}  CIEDE2000 {self.ciede2000:6.2f}  colorfulness {self.colorfulness:5.1f}"


def gather(data: Path, folder: Path) -> tuple[list[Picture], list[Picture]]:
    """Copy the usable pictures of a folder or the stills of a video to `folder`, small; return (training, held back).

    Held back are whole pictures and clips, chosen by name; of a single video, its end.
    """
    if data.is_file():
        found = [
            Picture(".", data.name, data.parent, moment=moment) for moment in moments(data, apart=APART, most=MOST)
        ]
    else:
        found = find_pictures(data)
    reading = track(usable(found, MOST), description="read", total=min(MOST, len(found)))
    kept = [(picture, small(rgb)) for picture, rgb in reading]
    if len(kept) < FEWEST:
        raise UnusableDataError(f"{data}: {len(kept)} usable pictures of {len(found)}, at least {FEWEST} are needed")
    training, held = split([picture for picture, _ in kept])
    for number, (picture, rgb) in enumerate(kept):
        for part, chosen in (("train", training), ("held", held)):
            if picture in chosen:
                (folder / part).mkdir(exist_ok=True)
                cv2.imwrite(str(folder / part / f"{number:04}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return find_pictures(folder / "train"), find_pictures(folder / "held")


def split(pictures: Sequence[Picture]) -> tuple[set[Picture], set[Picture]]:
    """Split into (training, held back): whole files by the hash of their names, or the beginning and end of one clip.

    Unlike that of `training.train`, both sides get some however few files there are.
    """
    names = sorted({picture.name for picture in pictures}, key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(names) > 1:
        chosen = set(names[: max(1, round(HELD_BACK * len(names)))])
        held = {picture for picture in pictures if picture.name in chosen}
        return set(pictures) - held, held
    ordered = sorted(pictures, key=lambda picture: picture.moment or 0)
    end = max(1, round(HELD_BACK * len(ordered)))
    return set(ordered[: -end - round(GAP * len(ordered))]), set(ordered[-end:])


def finetune(start: Start, pictures: Sequence[Picture], settings: Settings, *, layers: str) -> Autoencoder:
    """Return a copy of the network, trained on; `layers` is "last" (the way up and the head) or "all"."""
    process = Process()
    torch.manual_seed(settings.seed)
    network = copy.deepcopy(start.network).to(process.device)
    network.requires_grad_(layers == "all")
    for part in (network.up, network.head):
        part.requires_grad_(requires_grad=True)
    loss_of = loss_for(settings, start.palette).to(process.device)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=settings.rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, settings))
    with progress() as bar:
        task = bar.add_task("finetune", total=settings.steps, note="")
        for batch in batches(list(pictures), settings, process, done=0):
            light, ab = (batch[name].to(process.device) for name in ("light", "ab"))
            with autocast(settings.precision, process.device):
                logits = network(light.to(memory_format=torch.channels_last))
            loss = torch.stack(loss_of(logits, ab)).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, 2.0)
            optimizer.step()
            schedule.step()
            bar.update(task, advance=1, note=f"loss {loss.item():.3f}")
    return network.cpu().eval()


def compare(before: Autoencoder, after: Autoencoder, held: Sequence[Picture], sheet: Path) -> dict[str, Score]:
    """Return the scores of gray, of both networks' mean colors and of the truth; write a sheet of all four."""
    found: dict[str, list[Score]] = {}
    rows = []
    for _, rgb in usable(held, len(held)):
        truth, gray, first = colorize(before, rgb)
        versions = {"gray": gray, "before": first, "after": colorize(after, rgb)[2], "truth": truth}
        for name, version in versions.items():
            score = Score(psnr(truth, version), float(ciede2000(truth, version).mean()), colorfulness(version))
            found.setdefault(name, []).append(score)
        rows.append([(version * 255).astype(np.uint8) for version in versions.values()])
    write_sheet(sheet, rows[:24])
    return {
        name: Score(
            float(np.mean([score.psnr for score in scores])),
            float(np.mean([score.ciede2000 for score in scores])),
            float(np.mean([score.colorfulness for score in scores])),
        )
        for name, scores in found.items()
    }


def main() -> None:
    """Read the command line, specialize and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="start", default="tiny", help="a shipped network's name or an exported .onnx")
    parser.add_argument("--data", type=Path, required=True, help="folder of color pictures and videos, or one video")
    parser.add_argument("-o", "--out", type=Path, required=True, help="path of the files to write, without .onnx")
    parser.add_argument("--layers", choices=("last", "all"), default="last", help="what is trained (default last)")
    parser.add_argument("--steps", type=int, default=300, help="steps of 16 samples (default 300)")
    parser.add_argument("--rate", type=float, default=3e-4, help="peak learning rate (default 0.0003)")
    given = parser.parse_args()
    try:
        specialize(given)
    except (UnusableDataError, StreamcolorError) as error:
        raise SystemExit(str(error)) from error


def specialize(given: argparse.Namespace) -> None:
    """Do what the command line says."""
    out = given.out.with_suffix("") if given.out.suffix == ".onnx" else given.out
    start = start_from(given.start)
    with TemporaryDirectory() as folder:
        training, held = gather(given.data, Path(folder))
        print(f"{len(training)} pictures to train on, {len(held)} held back")
        settings = Settings(
            data=Path(folder), steps=given.steps, batch=16, size=start.size, rate=given.rate, warmup=20, hinted=0
        )
        network = finetune(start, training, settings, layers=given.layers)
        scores = compare(start.network, network, held, out.with_name(f"{out.name}-held-back.jpg"))
        for name, score in scores.items():
            print(f"{name:8} {score}")
        won = scores["after"].psnr - scores["before"].psnr
        print(f"{won:+.2f} dB on what was held back" + ("" if won > 0 else f": worse, so stay with {given.start}"))
        card = {**start.card, "name": out.name, "precision": "fp32", "finetuned_from": start.card["name"]}
        strength = {**start.strength, "calm": fitted_calm(network, held)}
        path = export_both(network, out, training, card=card, strength=strength)
    print(f"streamcolor run INPUT OUTPUT --model {path}")


if __name__ == "__main__":
    main()
