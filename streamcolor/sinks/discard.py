"""A sink that counts and forgets: for benchmarks, tests and dry runs."""

from streamcolor.frames import Frame, Item, StreamInfo


class Discard:
    """Counts frames and packets and throws them away."""

    def __init__(self) -> None:
        self.frames = 0
        self.packets = 0
        self.warnings: tuple[str, ...] = ()

    def open(self, info: StreamInfo) -> None:
        """Accept any stream."""

    def write(self, item: Item) -> None:
        """Count one item."""
        if isinstance(item, Frame):
            self.frames += 1
        else:
            self.packets += 1

    def finish(self) -> None:
        """Nothing is kept, so nothing is completed."""

    def close(self) -> None:
        """Nothing is held, so nothing is released."""
