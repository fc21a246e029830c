"""Train a network: `python -m training.train configs/train/tiny.yaml [--data DIR] [--steps N]`.

Stops at any kill and goes on from its last checkpoint when started again with the same settings. Several processes
share a run: `torchrun --nproc-per-node 2 -m training.train …`; each takes a GPU where there are any.
"""

import argparse
import math
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Subset

from .config import BadSettingsError, Settings, load
from .logbook import Logbook, progress
from .networks import grain_of, loss_for
from .pictures import Picture, UnusableDataError, chosen, find_pictures, split
from .processes import Process, joined
from .samples import Samples
from .state import State, save
from .validate import validate

NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the arithmetic of the forward pass; a processor without bf16 would take eight times as long in it."""
    if precision == "auto":
        precision = "bf16" if has_bf16(device) else "fp32"
    return torch.autocast(device.type, NARROW.get(precision), enabled=precision in NARROW)


def has_bf16(device: torch.device) -> bool:
    """Tell whether a processor or GPU computes in bf16 rather than imitates it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(there and torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch has no public way to ask


def train(settings: Settings, process: Process | None = None, *, minutes: float = math.inf) -> Path:
    """Run to the last step, or for so many minutes; return the checkpoint (averaged weights, settings, step)."""
    process = process or Process()
    device, deadline = process.device, time.monotonic() + 60 * minutes
    if settings.size % grain_of(settings.shape):
        raise BadSettingsError(f"size: {settings.size} is not a multiple of {grain_of(settings.shape)}")
    torch.manual_seed(settings.seed)
    settings.out.mkdir(parents=True, exist_ok=True)
    pictures, validation = split(find_pictures(settings.data), settings.held_back, settings.validation_share)
    pictures = chosen(pictures, settings.pictures, seed=settings.seed)
    checkpoint = settings.out / "last.pt"
    state = State(settings, pictures, checkpoint, device)
    network = process.shared(state.network)
    loss_of = loss_for(settings, state.palette).to(device)
    narrowed = autocast(settings.precision, device)
    book = Logbook(settings.out, loss_of.parts, process, step=state.step)

    with progress(shown=process.first) as bar, book as logbook:
        task = bar.add_task("train", total=settings.steps, completed=state.step, note="")
        for batch in batches(pictures, settings, process, done=state.step):
            light, ab, hints = (batch[name].to(device, non_blocking=True) for name in ("light", "ab", "hints"))
            with narrowed:
                output = network(light.to(memory_format=torch.channels_last), hints)
            losses = loss_of(output, ab)
            state.learn(torch.stack(losses).sum())
            logbook.count(losses, damaged=batch["damaged"], gray=batch["gray"])
            if state.step % 20 == 0:
                bar.update(task, completed=state.step, note=logbook.loss())

            last = state.step == settings.steps or (
                minutes < math.inf and process.any(told=time.monotonic() > deadline)
            )
            if state.step % settings.every == 0 or last:
                figures: dict[str, float] = {}
                if process.first:
                    save(checkpoint, state.contents(settings))
                    sheet = settings.out / f"sheet-{state.step:06}.png"
                    figures = validate(state.averaged, validation, sheet=sheet)
                logbook.write(state.step, figures, samples=settings.batch)
            if last:
                break
    return checkpoint


def batches(
    pictures: list[Picture], settings: Settings, process: Process, *, done: int
) -> DataLoader[dict[str, torch.Tensor]]:
    """Return this process's share of every batch after the first `done`."""
    if settings.batch % process.count:
        raise BadSettingsError(f"a batch of {settings.batch} cannot be shared out to {process.count} processes evenly")
    samples = Samples(
        pictures,
        length=settings.steps * settings.batch,
        size=settings.size,
        smallest=settings.smallest,
        seed=settings.seed,
        evenness=settings.evenness,
        weights=settings.weights,
        hinted=settings.hinted,
        degraded=settings.degraded,
        jittered=settings.jittered,
    )
    share = Subset(samples, range(done * settings.batch + process.rank, len(samples), process.count))
    return DataLoader(
        share,
        settings.batch // process.count,
        num_workers=settings.workers,
        pin_memory=process.device.type == "cuda",
    )


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path, help="YAML file, see configs/train/")
    parser.add_argument("--data", type=Path, help="folder of pictures, instead of the one in the settings")
    parser.add_argument("--out", type=Path, help="folder for the results, instead of the one in the settings")
    parser.add_argument("--steps", type=int, help="number of optimizer steps, instead of the one in the settings")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so long; the next start goes on")
    given = parser.parse_args()
    with joined() as process:
        try:
            settings = load(given.settings, data=given.data, out=given.out, steps=given.steps)
            checkpoint = train(settings, process, minutes=given.minutes)
        except (BadSettingsError, UnusableDataError) as error:
            raise SystemExit(str(error)) from error
        if process.first:
            print(checkpoint)


if __name__ == "__main__":
    main()
