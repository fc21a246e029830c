"""Train a network: `python -m training.train configs/train/tiny.yaml [--data DIR] [--steps N]`.

Stops at any kill and goes on from its last checkpoint when started again with the same settings.
"""

import argparse
import csv
import math
import time
from pathlib import Path
from typing import Any, cast

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from streamcolor.nets.autoencoder import SHAPES, Autoencoder

from .config import Settings, load
from .loss import ColorLoss, make_palette, make_prior, sampled_ab
from .pictures import find_pictures, split, usable
from .samples import Samples, ab_of
from .validate import validate


def train(settings: Settings) -> Path:
    """Run to the last step; return the checkpoint (weights averaged over the last steps, settings, step)."""
    torch.manual_seed(settings.seed)
    settings.out.mkdir(parents=True, exist_ok=True)
    checkpoint = settings.out / "last.pt"
    saved: dict[str, Any] | None = torch.load(checkpoint, weights_only=False) if checkpoint.exists() else None
    pictures, validation = split(find_pictures(settings.data), settings.held_back, settings.validation_share)

    palette, prior = (saved["palette"], saved["prior"]) if saved else palette_of(pictures, settings)
    network = Autoencoder(SHAPES[settings.shape], palette, prior)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    loss_of = ColorLoss(palette, prior, huber=settings.huber, smooth=settings.smooth)
    decay = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.ema)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=decay, use_buffers=True)
    averaged = cast("Autoencoder", average.module)
    optimizer = torch.optim.AdamW(groups(network, settings.weight_decay), lr=settings.rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, settings))
    parts: dict[str, Any] = {"network": network, "average": average, "optimizer": optimizer, "schedule": schedule}
    if saved:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    first = saved["step"] if saved else 0

    samples = Samples(
        pictures,
        length=settings.steps * settings.batch,
        size=settings.size,
        smallest=settings.smallest,
        seed=settings.seed,
        evenness=settings.evenness,
        weights=settings.weights,
        hinted=settings.hinted,
    )
    rest = Subset(samples, range(first * settings.batch, len(samples)))
    loader = DataLoader(rest, settings.batch, num_workers=settings.workers)
    skipped = torch.zeros(2, dtype=torch.long)
    sums, since = torch.zeros(3), time.monotonic()
    with progress() as bar:
        task = bar.add_task("train", total=settings.steps, completed=first, note="")
        for step, batch in enumerate(loader, first + 1):
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
                logits = network(batch["light"].to(memory_format=torch.channels_last), batch["hints"])
            classification, huber = loss_of(logits, batch["ab"])
            optimizer.zero_grad(set_to_none=True)
            (classification + huber).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            sums += torch.tensor([classification.item(), huber.item(), 1.0])
            skipped += torch.stack([batch["damaged"].sum(), batch["grey"].sum()])
            if step % 20 == 0:
                bar.update(task, completed=step, note=f"loss {sums[0] / sums[2]:.3f} + {sums[1] / sums[2]:.3f}")
            if step % settings.every == 0 or step == settings.steps:
                states = {name: part.state_dict() for name, part in parts.items()}
                kept = {"palette": palette, "prior": prior, "settings": settings.model_dump(mode="json")}
                save(checkpoint, states | kept | {"step": step})
                figures = validate(averaged, validation, sheet=settings.out / f"sheet-{step:06}.png")
                seconds, since = time.monotonic() - since, time.monotonic()
                log(
                    settings.out / "log.csv",
                    {
                        "step": step,
                        "classification": float(sums[0] / sums[2]),
                        "huber": float(sums[1] / sums[2]),
                        **figures,
                        "samples_per_second": float(sums[2]) * settings.batch / seconds,
                        "damaged": int(skipped[0]),
                        "grey": int(skipped[1]),
                    },
                )
                sums.zero_()
    return checkpoint


def palette_of(pictures: list[Any], settings: Settings) -> tuple[Tensor, Tensor]:
    """Return the palette (Q,2) and the log of the loss weights (Q,) for some 3,000 pictures."""
    seen = sampled_ab(ab_of(rgb) for _, rgb in usable(pictures, 3000))
    palette, frequency = make_palette(seen, settings.palette, seed=settings.seed)
    return palette, make_prior(frequency, settings.rebalance)


def groups(network: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay the convolutions' weights only, not the normalizations and biases."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def rate_at(step: int, settings: Settings) -> float:
    """Linear warm-up, then a cosine down to a hundredth, as a factor of the peak rate."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def save(path: Path, state: dict[str, Any]) -> None:
    """Write under another name first: a kill in the middle must not cost the last good checkpoint."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def log(path: Path, row: dict[str, float]) -> None:
    """Add a row to a CSV file."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow({key: round(value, 5) for key, value in row.items()})


def progress() -> Progress:
    """Return a bar with steps, ETA and the current loss."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"))


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path, help="YAML file, see configs/train/")
    parser.add_argument("--data", type=Path, help="folder of pictures, instead of the one in the settings")
    parser.add_argument("--out", type=Path, help="folder for the results, instead of the one in the settings")
    parser.add_argument("--steps", type=int, help="number of optimizer steps, instead of the one in the settings")
    given = parser.parse_args()
    print(train(load(given.settings, data=given.data, out=given.out, steps=given.steps)))


if __name__ == "__main__":
    main()
