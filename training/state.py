"""What a training run consists of between two steps: all that a checkpoint holds."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import DataLoader

from streamcolor.nets.autoencoder import Autoencoder

from .config import BadSettingsError, Settings
from .loss import make_palette, make_prior, sampled_ab
from .networks import Network, Palette, build, needs_palette
from .pictures import Picture, UnusableDataError, usable
from .samples import Samples, ab_of
from .start import Start, start_from, unfolded

CALIBRATION = 16  # batches that measure the features of a network to go on from


class State:
    """The network, the average of its weights, its optimizer and how far it has come."""

    def __init__(self, settings: Settings, pictures: Sequence[Picture], checkpoint: Path, device: torch.device) -> None:
        """Go on from `checkpoint`, or begin if there is none."""
        saved: dict[str, Any] = {}
        if checkpoint.exists():
            saved = torch.load(checkpoint, map_location="cpu", weights_only=False)
        self.step: int = saved.get("step", 0)
        start = None if saved else start_of(settings)
        self.palette = palette_of(pictures, settings, saved) if start is None else start.palette
        network = build(settings.shape, self.palette)
        self.network = (network if start is None else go_on(start, network, pictures, settings)).to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        average = partial(averaging, settings.ema)
        self._average = torch.optim.swa_utils.AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self._optimizer = torch.optim.AdamW(groups(self.network, settings.weight_decay), lr=settings.rate, fused=True)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: rate_at(step, settings))
        self._scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        for name, part in self._parts().items() if saved else ():
            part.load_state_dict(saved[name])

    @property
    def averaged(self) -> Network:
        """The network with the averaged weights: the one that is kept in the end."""
        return cast("Network", self._average.module)

    def learn(self, loss: torch.Tensor) -> None:
        """Take a step down the gradient of `loss`."""
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        self._average.update_parameters(self.network)
        self.step += 1

    def contents(self, settings: Settings) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        colors, prior = self.palette or (None, None)
        kept = {"palette": colors, "prior": prior, "settings": settings.model_dump(mode="json"), "step": self.step}
        return {name: part.state_dict() for name, part in self._parts().items()} | kept

    def _parts(self) -> dict[str, Any]:
        parts = {
            "network": self.network,
            "average": self._average,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
        }
        return parts | ({"scaler": self._scaler} if self._scaler.is_enabled() else {})


def averaging(decay: float, averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor) -> None:
    """Move averaged weights towards the current ones, faster in the beginning: else it would long be what chance began.

    `count` is how often that was done before.
    """
    decay = min(decay, (1 + int(count)) / (10 + int(count)))
    torch.optim.swa_utils.get_ema_multi_avg_fn(decay)(averaged, current, count)  # type: ignore[no-untyped-call]


def palette_of(pictures: Sequence[Picture], settings: Settings, saved: dict[str, Any]) -> Palette | None:
    """Return the palette (Q,2) and the log of the loss weights (Q,), as saved or for some 3,000 pictures."""
    if not needs_palette(settings.shape):
        return None
    if saved:
        return saved["palette"], saved["prior"]
    seen = sampled_ab(ab_of(rgb) for _, rgb in usable(pictures, 3000))
    if not len(seen):
        raise UnusableDataError(f"{settings.data}: no pictures to train on: {len(pictures)}, all damaged or gray")
    palette, frequency = make_palette(seen, settings.palette, seed=settings.seed)
    return palette, make_prior(frequency)


def start_of(settings: Settings) -> Start | None:
    """Return the network to start from, if any."""
    if settings.start is None:
        return None
    if not needs_palette(settings.shape):
        raise BadSettingsError(f"start: a network of the shape {settings.shape} cannot go on from another")
    return start_from(settings.start)


def go_on(start: Start, network: Network, pictures: Sequence[Picture], settings: Settings) -> Network:
    """Return `network` with the weights of the one to start from. Raises BadSettingsError: it has another shape."""
    samples = Samples(pictures, size=settings.size, length=CALIBRATION * settings.batch, seed=settings.seed, hinted=0)
    lights = (batch["light"] for batch in DataLoader(samples, settings.batch))
    assert isinstance(network, Autoencoder)  # start_of() lets no other shape through
    try:
        return unfolded(start.network, network, lights)
    except (RuntimeError, KeyError) as error:
        raise BadSettingsError(f"start: {settings.start} is not of the shape {settings.shape}") from error


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
