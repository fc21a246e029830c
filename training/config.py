"""The settings of a training run, read from YAML and checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Settings(BaseModel):
    """One training run. Every setting has a default but the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(description="folder of pictures, in any layout, or of zip shards with index.csv.gz")
    out: Path = Field(default=Path("runs/tiny"), description="folder for checkpoints, log and contact sheets")
    shape: Literal["tiny", "base", "seed", "tiny-narrow", "tiny-shallow"] = Field(
        default="tiny", description="which network, see training.networks"
    )
    start: str | None = Field(default=None, description="a shipped network or an exported .onnx to go on from")
    pictures: int | None = Field(default=None, gt=0, description="train on so many, chosen at random; none: on all")
    steps: int = Field(default=20_000, gt=0, description="optimizer steps in all")
    batch: int = Field(default=64, gt=0, description="samples in a step, over all processes")
    size: int = Field(default=128, gt=0, description="width and height of a sample in pixels; a multiple of 4")
    smallest: float = Field(default=0.5, gt=0, le=1, description="smallest crop, as a part of the short side")
    degraded: bool = Field(default=True, description="damage the input as old film and night cameras do")
    jittered: float = Field(
        default=0.0, ge=0, le=1, description="part of the samples with other white balance and saturation"
    )
    hinted: float = Field(default=0.1, ge=0, le=1, description="part of the samples that tell some of their colors")
    evenness: float = Field(default=0.5, ge=0, le=1, description="1: by picture; 0: every source alike")
    weights: dict[str, float] = Field(default_factory=dict, description="a factor for the chance of a source")
    held_back: list[str] = Field(default_factory=list, description="sources kept for validation, never trained on")
    validation_share: float = Field(default=0.02, gt=0, lt=1, description="part kept for validation if no source is")
    palette: int = Field(default=128, gt=1, description="number of palette colors")
    rebalance: float = Field(default=1, ge=0, le=1, description="0: all colors weigh the same; 1: rare ones more")
    huber: float = Field(default=0.02, ge=0, description="weight of the Huber term on the expected color")
    squared: float = Field(default=0, ge=0, description="weight of the squared error of the expected color")
    smooth: float = Field(default=0.05, ge=0, lt=1, description="label smoothing: doubt that is taught")
    rate: float = Field(default=2e-3, gt=0, description="peak learning rate")
    warmup: int = Field(default=500, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(default=0.05, ge=0, description="AdamW's decoupled weight decay")
    ema: float = Field(default=0.9995, gt=0, lt=1, description="decay of the averaged weights, which are what is kept")
    every: int = Field(default=1000, gt=0, description="steps between checkpoints, validations and contact sheets")
    workers: int = Field(default=1, ge=0, description="processes that read pictures")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="of the forward pass; auto: bf16 where the processor or GPU has it, else fp32"
    )
    seed: int = Field(default=0, description="of the weights, samples and damages")


class BadSettingsError(Exception):
    """The settings file cannot be used; the message names every key that is wrong."""


def load(path: Path, **overrides: object) -> Settings:
    """Read `path`; settings in `overrides` that are not None win."""
    return checked(written(path), path, **overrides)


def written(path: Path) -> dict[str, Any]:
    """Return what a YAML file says, unchecked."""
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise BadSettingsError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise BadSettingsError(f"{path}: not settings (name: value), but a {type(found).__name__}")
    return found


def checked(settings: Mapping[str, Any], where: object, **overrides: object) -> Settings:
    """Return the settings that a file gave; those in `overrides` that are not None win. `where` is for the message."""
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate({**settings, **given})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BadSettingsError(f"{where}: {wrong}") from error
