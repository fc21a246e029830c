"""Sources, sinks and models without FFmpeg and without a network."""

import threading
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np

from streamcolor.frames import ColorSpace, Frame, Passthrough, StreamInfo
from streamcolor.sources import SourceReport


def picture(stream="a", pts=0, size=(4, 4), space=None):
    """A gray frame of the given (height, width), 4:2:0."""
    space = space or ColorSpace()
    height, width = size
    half = (-(-height // 2), -(-width // 2))
    middle = np.full(half, 1 << (space.depth - 1), space.dtype)
    return Frame(stream, pts, np.full(size, pts % 200, space.dtype), (middle, middle), space, captured=0.0)


def packet(stream="a", number=0):
    """A compressed packet that only carries its number."""
    return Passthrough(stream, SimpleNamespace(number=number))


def info(name="a", **changes):
    """What a source of `picture`s tells its sink."""
    basis = StreamInfo(name, 4, 4, rate=Fraction(25), time_base=Fraction(1, 25), space=ColorSpace())
    return replace(basis, **changes)


def pictures(count):
    """A script for a FakeSource: `count` frames."""
    return ["frame"] * count


class FakeSource:
    """Plays a script of "frame", "packet", a ready frame, an exception to raise or something to call."""

    def __init__(self, stream="a", script=("frame",), **changes):
        self.info = info(stream, **changes)
        self.closed = 0
        self.given = 0
        self._script = script

    def __iter__(self):
        make = {"frame": picture, "packet": packet}
        for number, step in enumerate(self._script):
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
                continue
            self.given += 1
            yield step if isinstance(step, Frame) else make[step](self.info.name, number)

    def close(self):
        self.closed += 1

    def report(self):
        return SourceReport(frames=self.given)


class FakeSink:
    """Keeps what it is given, and what was done to it, in order."""

    warnings = ()

    def __init__(self, *, fail=None, error=None, gate=None, log=None, after=0):
        self.items = []
        self.calls = [] if log is None else log
        self._fail, self._error, self._after = fail, error, after
        self._gate = gate  # an event without which nothing is written

    @property
    def frames(self):
        return [item for item in self.items if isinstance(item, Frame)]

    @property
    def packets(self):
        return [item.packet.number for item in self.items if isinstance(item, Passthrough)]

    def open(self, info):
        self.info = info
        self._do("open")

    def write(self, item):
        if self._gate:
            self._gate.wait()
        if len(self.items) >= self._after:
            self._do("write")
        self.items.append(item)

    def finish(self):
        self._do("finish")

    def close(self):
        self._do("close")

    def _do(self, call):
        self.calls.append(call)
        if call == self._fail:
            raise self._error


class Tint:
    """A model that gives every frame the same color."""

    def __init__(self, *, error=None, after=0, gate=None, log=None):
        self.seen = 0
        self.batches = []
        self.forgotten = []
        self._error, self._after, self._gate = error, after, gate
        self._log = log

    def __call__(self, frames):
        if self._gate:
            self._gate.wait()
        self.batches.append([frame.stream for frame in frames])
        self.seen += len(frames)
        if self._error and self.seen > self._after:
            raise self._error
        return [replace(frame, chroma=tuple(np.full_like(plane, 90) for plane in frame.chroma)) for frame in frames]

    def forget(self, stream):
        self.forgotten.append(stream)
        if self._log is not None:
            self._log.append("forget")


def in_thread(work, *args):
    """Start `work` beside the test."""
    thread = threading.Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread
