"""The page, the API and the metrics of `streamcolor serve` (extra `web`): they know a station, not an engine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from streamcolor.metrics import FeedCounts


@dataclass(frozen=True, kw_only=True)
class FeedView:
    """One camera as it is at this moment. Nothing here holds a password."""

    name: str
    settings: Mapping[str, object]  # as in cameras.yaml
    counts: FeedCounts | None  # None: it is switched off
    width: int = 0  # of the colored picture; 0 before the first one
    height: int = 0
    showing: str = "nothing"  # what its outputs show: nothing yet, the camera, or the card that says that it is lost
    viewers: int = 0
    outputs: Sequence[Mapping[str, object]] = field(default=())

    @property
    def state(self) -> str:
        """What the camera is doing, in a word."""
        return "off" if self.counts is None else self.counts.state.value


class Subscription(Protocol):
    """The colored video of one camera for one viewer: an init segment, then a fragment for each picture."""

    @property
    def mime(self) -> str:
        """What a browser must be told about it; known after the first item."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Wait for the next item; ends when the camera goes or its picture changes."""
        ...

    def close(self) -> None:
        """End it, from any thread."""
        ...


class Station(Protocol):
    """The running cameras. Every method may be called from any thread."""

    def ready(self) -> bool:
        """Whether cameras are being colored, or would be if they were there."""
        ...

    def feeds(self) -> Sequence[FeedView]:
        """Return all cameras in the order of the file."""
        ...

    def put(self, name: str, camera: Mapping[str, object]) -> None:
        """Add a camera or replace it. Raises ConfigError; then nothing has changed."""
        ...

    def remove(self, name: str) -> None:
        """Take a camera out. Raises ConfigError."""
        ...

    def subscribe(self, name: str) -> Subscription | None:
        """Begin to watch a camera; None if there is no such camera, or it is switched off."""
        ...
