"""What a training run writes down as it goes: a CSV file, TensorBoard's curves where that is installed, a bar."""

import csv
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from .processes import Process


class Logbook:
    """`log.csv` and, if TensorBoard is installed, `curves/` in the run's folder. A resumed run goes on in both."""

    def __init__(self, folder: Path, parts: Sequence[str], process: Process, *, step: int) -> None:
        """`parts` names the losses. `step` is the last one done: curves of a killed run beyond it are dropped."""
        self._csv, self._parts, self._process = folder / "log.csv", parts, process
        self._curves: Any = None
        if process.first and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional

            self._curves = SummaryWriter(str(folder / "curves"), purge_step=step + 1)
        self._sums = torch.zeros(len(parts) + 1, device=process.device)  # on the device: reading it there would wait
        self._skipped = torch.zeros(2, dtype=torch.long)  # damaged, gray, since the start
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._curves is not None:
            self._curves.close()

    def count(self, losses: Sequence[Tensor], *, damaged: Tensor, gray: Tensor) -> None:
        """Take down a step's losses, and the pictures that were passed over for its samples."""
        self._sums += torch.stack([*(loss.detach() for loss in losses), self._sums.new_ones(())])
        self._skipped += torch.stack([damaged.sum(), gray.sum()])

    def loss(self) -> str:
        """Return the mean losses of this process since the last row, to be shown."""
        return "loss " + " + ".join(f"{mean:.3f}" for mean in (self._sums[:-1] / self._sums[-1]).tolist())

    def write(self, step: int, figures: Mapping[str, float], *, samples: int) -> None:
        """Add a row of means over all processes since the last one. Each must call it; only the first one writes."""
        *losses, steps = self._process.total(self._sums).tolist()
        damaged, gray = self._process.total(self._skipped).tolist()
        seconds, self._since = time.monotonic() - self._since, time.monotonic()
        self._sums.zero_()
        if not self._process.first:
            return
        row = {"step": step, **{part: loss / steps for part, loss in zip(self._parts, losses, strict=True)}, **figures}
        row |= {"samples_per_second": steps / self._process.count * samples / seconds}
        row |= {"damaged": damaged, "gray": gray}
        append(self._csv, row)
        if self._curves is not None:
            for name, value in row.items():
                self._curves.add_scalar(name, value, step)
            self._curves.flush()


def append(path: Path, row: Mapping[str, float]) -> None:
    """Add a row to a CSV file."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow({key: round(value, 5) for key, value in row.items()})


def progress(*, shown: bool = True) -> Progress:
    """Return a bar with steps, ETA and the current loss."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), disable=not shown)
