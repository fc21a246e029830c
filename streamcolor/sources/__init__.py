"""Where frames come from: a source runs until it ends or raises, and never retries."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from streamcolor.frames import Item, StreamInfo


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What became of an input so far."""

    frames: int = 0  # pictures handed out
    undecodable: int = 0  # packets of the video, or picture files, that gave no picture
    rescaled: int = 0  # pictures brought to the size and pixel format of the first
    warnings: tuple[str, ...] = ()
    complete: bool = False  # read to its end, and nothing was found missing or damaged


class Source(Protocol):
    """An open input, iterated once: items come in demux order; raises SourceError or SourceLost."""

    info: StreamInfo

    def __iter__(self) -> Iterator[Item]: ...

    def close(self) -> None:
        """Release the input. Frames handed out stay valid; streams and packets do not: FFmpeg's memory is gone."""
        ...

    def report(self) -> SourceReport:
        """Count what happened so far."""
        ...
