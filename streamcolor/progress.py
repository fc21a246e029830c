"""A run as a person watches it: a bar on a terminal, a line now and then elsewhere, nothing when asked to be quiet."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeAlias

from streamcolor.metrics import FeedCounts
from streamcolor.report import clock_time
from streamcolor.sinks.broadcast import BroadcastState

Clock: TypeAlias = Callable[[], float]
Show: TypeAlias = Callable[[FeedCounts], None]
LiveShow: TypeAlias = Callable[[FeedCounts, BroadcastState], None]
Step: TypeAlias = Callable[[str, float], None]

LINE_EVERY = 5.0  # seconds between lines where there is no terminal


@contextmanager
def progress(stream: TextIO, *, quiet: bool = False, clock: Clock = time.monotonic) -> Iterator[Show]:
    """Give a function that shows the snapshots of a run on `stream`."""
    if quiet:
        yield lambda _: None
    elif stream.isatty():
        with _bar(stream, clock) as show:
            yield show
    else:
        yield _Lines(stream, clock)


@contextmanager
def steps(stream: TextIO, *, quiet: bool = False) -> Iterator[Step]:
    """Give a function that shows on `stream` what is being done and how much of it, 0 (nobody knows) to 1."""
    if quiet:
        yield lambda _what, _part: None
    elif stream.isatty():
        with _timed_bar(stream) as show:
            yield show
    else:
        said = set[str]()

        def announce(what: str, _: float) -> None:
            if what not in said:
                said.add(what)
                print(what, file=stream, flush=True)

        yield announce


def status(counts: FeedCounts, elapsed: float) -> str:
    """Frames, frames per second and the time left, as far as they are known."""
    frames = counts.write.frames
    of = f"/{counts.expected}" if counts.expected else ""
    fps = frames / elapsed if elapsed > 0 else 0.0
    part = counts.done
    left = f", {clock_time(elapsed * (1 - part) / part)} left" if part and frames else ""
    return f"{frames}{of} frames, {fps:.1f} fps{left}"


@contextmanager
def live_status(stream: TextIO, *, level: int = logging.INFO) -> Iterator[LiveShow]:
    """Log what changes on `stream`, and on a terminal keep a line below that says how it goes."""
    below = stream.isatty() and level <= logging.INFO
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(("\r\x1b[2K" if below else "%(asctime)s ") + "%(message)s"))
    logger = logging.getLogger("streamcolor")
    logger.addHandler(handler)
    logger.setLevel(level)
    before = FeedCounts()

    def show(counts: FeedCounts, state: BroadcastState) -> None:
        nonlocal before
        if below:
            print(f"\r\x1b[2K{live_line(counts, before, state)}", end="", file=stream, flush=True)
        before = counts

    try:
        yield show
    finally:
        logger.removeHandler(handler)
        if below:
            print("\r\x1b[2K", end="", file=stream, flush=True)


def live_line(counts: FeedCounts, before: FeedCounts, state: BroadcastState) -> str:
    """State, frames per second, drops, the delay since the snapshot `before`, and outputs that do not work."""
    seen = sum(counts.delays.counts) - sum(before.delays.counts)
    delay = f"{(counts.delays.total - before.delays.total) / seen * 1000:.0f} ms" if seen else "-"
    trouble = "".join(f", {outlet.name}: {outlet.state}" for outlet in state.outlets if outlet.state != "open")
    return f"{counts.state}, {counts.fps:.1f} fps, {counts.dropped} dropped, delay {delay}{trouble}"


class _Lines:
    """Prints a line every few seconds: for log files."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        self._began = self._printed = clock()

    def __call__(self, counts: FeedCounts) -> None:
        now = self._clock()
        if now - self._printed < LINE_EVERY:
            return
        self._printed = now
        print(status(counts, now - self._began), file=self._stream, flush=True)


@contextmanager
def _bar(stream: TextIO, clock: Clock) -> Iterator[Show]:
    # Only a terminal needs rich: a file run in a script starts faster without it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    bar = Progress(*columns, console=Console(file=stream), auto_refresh=False, transient=True)
    began = clock()
    with bar:
        task = bar.add_task("starting", total=None)

        def show(counts: FeedCounts) -> None:
            done = counts.done
            total = None if done is None else 1.0
            bar.update(task, total=total, completed=done or 0.0, description=status(counts, clock() - began))
            bar.refresh()

        yield show


@contextmanager
def _timed_bar(stream: TextIO) -> Iterator[Step]:
    """Show a bar whose clock goes on while a step that says nothing keeps this thread."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(file=stream), refresh_per_second=4, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, part: bar.update(task, description=what, total=1.0 if part else None, completed=part)
