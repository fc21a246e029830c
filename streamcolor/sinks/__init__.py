"""Where colored frames and untouched packets go."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # types only: `plain` is to cost no more than FFmpeg
    from streamcolor.frames import Item, StreamInfo


class Sink(Protocol):
    """An output, used once: open, write each item in order, finish if all went well, close in any case.

    Whatever cannot be written raises SinkError.
    """

    warnings: tuple[str, ...]  # what the output cannot hold, each by name; complete after finish()

    def open(self, info: "StreamInfo") -> None:
        """Get ready for a stream."""
        ...

    def write(self, item: "Item") -> None:
        """Take the next frame or packet."""
        ...

    def finish(self) -> None:
        """Complete the output and put it under its final name; called after the last item of a good run."""
        ...

    def close(self) -> None:
        """Release everything; an output that was not finished is removed."""
        ...
