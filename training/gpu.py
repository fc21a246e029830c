"""Train, evaluate and export `base` on a borrowed GPU, in pieces of ten minutes.

    python -m training.gpu pack DIR PACKED                        here: training data in files below 60 MiB
    python -m training.gpu run PACKED --out runs/base --eval DIR  there, again and again until it says that all is done
    python -m training.gpu join runs/base/*.part-*                here: put the exported files together again

`run` stops in time and exits with code 75 (try again) as long as something is left. Every call goes on where the last
one stopped: training from its checkpoint, then export, then evaluation. The same works without a GPU, slowly.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from .config import BadSettingsError, Settings, load
from .evaluate import measure
from .export import STRENGTH, card_of, export_both, fitted_calm, held_from, load_network
from .pictures import UnusableDataError, find_pictures
from .pieces import absent, cut, join, pack
from .processes import joined
from .train import train

MIB = 1 << 20
AGAIN = 75  # EX_TEMPFAIL of sysexits.h: not finished, call again
RESERVE = 3.0  # minutes that export, or evaluation, may take: not begun with less


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be made of what, and where."""

    settings: Settings
    sets: Path | None  # data sets to evaluate on
    part: int  # bytes of the largest part of an exported file

    @property
    def checkpoint(self) -> Path:
        """Return the file that training goes on from."""
        return self.settings.out / "last.pt"

    @property
    def network(self) -> Path:
        """Return the exported file, the one to use."""
        return self.settings.out / f"{self.settings.shape}.onnx"

    @property
    def figures(self) -> Path:
        """Return what the evaluation writes."""
        return self.settings.out / "figures.json"


def run(job: Job, *, minutes: float) -> bool:
    """Do what is left of training, export and evaluation within `minutes`; tell whether all is done."""
    if missing := absent(find_pictures(job.settings.data)):
        raise UnusableDataError(f"{job.settings.data}: not there: {', '.join(missing)}; bring all pieces of the index")
    deadline = time.monotonic() + 60 * minutes
    if steps_done(job.checkpoint) < job.settings.steps:
        with joined() as process:
            train(job.settings, process, minutes=minutes)
        print(f"step {steps_done(job.checkpoint)} of {job.settings.steps}")
        if steps_done(job.checkpoint) < job.settings.steps:
            return False
    stages = [(job.network, _export)]
    if job.sets is not None:
        stages.append((job.figures, _evaluate))
    for result, stage in stages:
        if result.exists() and result.stat().st_mtime >= job.checkpoint.stat().st_mtime:
            continue
        if time.monotonic() > deadline - 60 * min(RESERVE, minutes / 2):
            return False
        stage(job)
    return True


def _export(job: Job) -> None:
    """Export, and cut the files into parts."""
    network, out = load_network(job.checkpoint), job.network.with_suffix("")
    card = card_of(job.checkpoint, out.name)
    pictures = find_pictures(job.settings.data)
    calm = fitted_calm(network, held_from(job.checkpoint, pictures))
    int8 = export_both(network, out, pictures, card=card, strength={**STRENGTH, "calm": calm})
    for path in (int8, out.with_name(f"{out.name}-fp32.onnx")):
        print(f"{path} in {len(cut(path, limit=job.part))} parts")


def _evaluate(job: Job) -> None:
    assert job.sets is not None
    folder = job.settings.out
    measure(str(job.network), job.sets, job.figures, sheets=folder / "sheets", page=folder / "page.html")


def steps_done(checkpoint: Path) -> int:
    """Return how many steps a checkpoint has behind it, 0 if there is none."""
    if not checkpoint.exists():
        return 0
    return int(torch.load(checkpoint, map_location="cpu", weights_only=False, mmap=True)["step"])


def main() -> None:
    """Read the command line and do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write training data as files below a limit")
    packing.add_argument("data", type=Path, help="folder of pictures and videos, or of zip shards")
    packing.add_argument("packed", type=Path, help="folder to write")
    packing.add_argument("--mib", type=float, default=60, help="largest file, in MiB (default 60)")
    running = commands.add_parser("run", help="train, export and evaluate, a piece of the way")
    running.add_argument("data", type=Path, help="folder that `pack` wrote, or any training data")
    running.add_argument("--config", type=Path, default=Path("configs/train/base.yaml"), help="default: base")
    running.add_argument("--out", type=Path, default=Path("runs/base"), help="folder for the results")
    running.add_argument("--eval", dest="sets", type=Path, help="folder of data sets to evaluate on")
    running.add_argument("--minutes", type=float, default=9.0, help="of this piece (default 9 of 10)")
    running.add_argument("--steps", type=int, help="optimizer steps in all, instead of those in the settings")
    running.add_argument("--mib", type=float, default=15, help="largest part of an exported file, in MiB (default 15)")
    joining = commands.add_parser("join", help="put exported files together from their parts")
    joining.add_argument("parts", type=Path, nargs="+")
    given = parser.parse_args()
    try:
        done = follow(given)
    except (BadSettingsError, UnusableDataError) as error:
        raise SystemExit(str(error)) from error
    if not done:
        raise SystemExit(AGAIN)


def follow(given: argparse.Namespace) -> bool:
    """Do what the command line says; tell whether nothing is left to do."""
    if given.command == "pack":
        for path in pack(find_pictures(given.data), given.packed, limit=int(given.mib * MIB)):
            print(f"{path}  {path.stat().st_size / MIB:.1f} MiB")
        return True
    if given.command == "join":
        for path in join(given.parts):
            print(path)
        return True
    settings = load(given.config, data=given.data, out=given.out, steps=given.steps)
    done = run(Job(settings, given.sets, int(given.mib * MIB)), minutes=given.minutes)
    print("all is done" if done else "call again: something is left")
    return done


if __name__ == "__main__":
    main()
