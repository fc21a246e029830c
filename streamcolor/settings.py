"""What a person may choose for a run, checked once."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias, get_args

from streamcolor.backends import BACKENDS
from streamcolor.errors import ConfigError

WhenColored: TypeAlias = Literal["keep", "replace"]
Deinterlace: TypeAlias = Literal["auto", "on", "off"]
Lightness: TypeAlias = Literal["luma", "exact"]
Every: TypeAlias = Literal["auto"] | int


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
        choices = {
            "backend": ("auto", *BACKENDS),
            "when_colored": get_args(WhenColored),
            "deinterlace": get_args(Deinterlace),
            "lightness": get_args(Lightness),
        }
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                yield f"{name} is {value!r}: choose {', '.join(known)}"
        if not 0 <= self.crf <= 63:
            yield f"crf is {self.crf}: choose 0 (best) to 63 (smallest)"
        if not 0 <= self.saturation <= 4:
            yield f"saturation is {self.saturation:g}: choose 0 (gray) to 4"
        if self.vividness is not None and not 0 <= self.vividness <= 1:
            yield f"vividness is {self.vividness:g}: choose 0 (careful) to 1 (bold)"
        if self.every != "auto" and not (isinstance(self.every, int) and self.every >= 1):
            yield f"every is {self.every!r}: choose auto, 1 (each frame) or a larger number"
