"""What a person may choose for a run, checked once."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import get_args

from streamcolor.backends import BACKENDS
from streamcolor.colorizer import Every, Lightness, WhenColored, problems
from streamcolor.errors import ConfigError
from streamcolor.sources.deinterlace import Deinterlace
from streamcolor.sources.hwaccel import Hwaccel


@dataclass(frozen=True)
class Settings:
    """A run of one input to one output. Raises ConfigError, which names everything that is wrong at once."""

    input: str
    output: str
    _: KW_ONLY
    model: str = "tiny"  # a name in known_models() or the path of an .onnx file
    backend: str = "auto"
    codec: str | None = None  # FFmpeg's name of an encoder; None: what suits the container
    crf: int = 18  # constant rate factor: lower is better and larger
    preset: str = "veryfast"
    saturation: float = 1.0  # of the predicted colors; 1: as the network gives them
    vividness: float | None = None  # 0..1: from careful to bold; None: what suits the network
    when_colored: WhenColored = "keep"  # what happens to frames that are in color already
    deinterlace: Deinterlace = "auto"
    hwaccel: Hwaccel = "auto"  # what decodes: a GPU that can be used, or the processor
    lightness: Lightness = "luma"  # what stays bit-exact: the Y' of the input, or (exact) its L*
    every: Every = "auto"  # predict when the picture changes, or every N-th frame
    overwrite: bool = False

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ConfigError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        if not self.input:
            yield "no input"
        if not self.output:
            yield "no output"
        for name, known in (
            ("backend", ("auto", *BACKENDS)),
            ("deinterlace", get_args(Deinterlace)),
            ("hwaccel", get_args(Hwaccel)),
        ):
            if (value := getattr(self, name)) not in known:
                yield f"{name} is {value!r}: choose {', '.join(known)}"
        if not 0 <= self.crf <= 63:
            yield f"crf is {self.crf}: choose 0 (best) to 63 (smallest)"
        yield from problems(
            saturation=self.saturation,
            vividness=self.vividness,
            when_colored=self.when_colored,
            lightness=self.lightness,
            every=self.every,
        )
