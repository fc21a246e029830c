"""Colors to each camera's taste, from one network."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from streamcolor.backends import Backend
from streamcolor.colorizer import Colorizer, Every, Lightness, WhenColored
from streamcolor.frames import Frame


@dataclass(frozen=True)
class Look:
    """What a camera's colors shall be like, see Colorizer."""

    saturation: float = 1.0
    vividness: float | None = None
    when_colored: WhenColored = "keep"
    lightness: Lightness = "luma"
    every: Every = "auto"

    def colorizer(self, backend: Backend) -> Colorizer:
        """Make what colors frames so. Raises ConfigError."""
        return Colorizer(backend, **asdict(self))


class Looks:
    """The Colorizer of many feeds: those with the same look share batches. `choose` may come from any thread."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._colorizers: dict[Look, Colorizer] = {}
        self._of_feeds: dict[str, Colorizer] = {}

    def choose(self, looks: dict[str, Look]) -> None:
        """Say which look each feed has from now on."""
        colorizers = {look: self._colorizers.get(look) or look.colorizer(self._backend) for look in looks.values()}
        self._of_feeds = {feed: colorizers[look] for feed, look in looks.items()}
        self._colorizers = colorizers

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        """Color frames of any feeds, in their order. A feed that has just gone leaves its last frames as they are."""
        parts: dict[Colorizer | None, list[int]] = defaultdict(list)
        feeds = self._of_feeds
        for place, frame in enumerate(frames):
            parts[feeds.get(frame.stream.rpartition("/")[0])].append(place)
        colored = list(frames)
        for colorizer, places in parts.items():
            if colorizer is not None:
                for place, frame in zip(places, colorizer([frames[place] for place in places]), strict=True):
                    colored[place] = frame
        return colored

    def forget(self, stream: str) -> None:
        """Drop what is remembered of a session that is over."""
        for colorizer in list(self._colorizers.values()):
            colorizer.forget(stream)
