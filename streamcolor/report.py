"""What a run says about itself when it is over."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite

from streamcolor.metrics import Stage


@dataclass(frozen=True, kw_only=True)
class Report:
    """The account of one run. `as_json` writes every field and property; the keys are stable."""

    version: str
    input: str  # passwords hidden
    output: str
    model: str
    backend: str
    finished: bool  # the output stands under its name; False after a stop
    complete: bool  # the input could be read to its end; False where it is damaged or cut off
    frames: int  # written
    kept: int  # of these, passed on untouched because they were in color already
    reused: int  # of these, given the color of an earlier picture that looked the same
    undecodable: int  # packets of the input that could not be decoded
    rescaled: int  # frames whose size had changed in the middle of the input
    seconds: float  # from the first packet read to the output closed
    loading_seconds: float  # before that: opening the network
    stages: Mapping[str, Stage]  # read, color, write
    warnings: tuple[str, ...] = field(default=())

    @property
    def fps(self) -> float:
        """Frames written per second."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def colored(self) -> int:
        """Frames that have color from us."""
        return self.frames - self.kept

    def as_json(self) -> str:
        """One JSON object, indented, ending with a line break."""
        fields = asdict(self) | {"fps": self.fps, "colored": self.colored}
        return as_json(fields)

    def summary(self) -> str:
        """One line for a person."""
        kept = f"; {self.kept} were in color already and kept it" if self.kept else ""
        time = f"{clock_time(self.seconds)} ({self.fps:.1f} fps, {self.model} on {self.backend})"
        return f"{self.output}: {counted(self.frames)} in {time}{kept}"


def as_json(fields: Mapping[str, object]) -> str:
    """Return one JSON object, indented, ending with a line break; times to the millisecond."""
    return json.dumps(_rounded(fields), indent=2, ensure_ascii=False) + "\n"


def counted(frames: int) -> str:
    """Return number and noun."""
    return "1 frame" if frames == 1 else f"{frames} frames"


def clock_time(seconds: float) -> str:
    """Minutes and seconds as on a clock: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _rounded(value: object) -> object:
    """Milliseconds are enough: no digits that mean nothing."""
    if isinstance(value, float):
        return round(value, 3) if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value
