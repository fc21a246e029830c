"""One output of a live feed: a queue, a thread and a muxer, which is opened again when it fails."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import av

from streamcolor.errors import SinkError
from streamcolor.sinks.containers import holds_stream
from streamcolor.sinks.destinations import Destination
from streamcolor.sinks.keyed import KeyedQueue
from streamcolor.sinks.live_encoder import TICKS, Encoded
from streamcolor.sinks.partial import Pipe
from streamcolor.sinks.synthetic import tagged
from streamcolor.urls import hidden
from streamcolor.worker import Worker

if TYPE_CHECKING:
    from av.stream import Stream

log = logging.getLogger(__name__)

_WAITING = 250  # packets that may wait for an outlet: some seconds
_RETRY = (0.5, 1.0, 2.0)  # seconds; the last repeats
_STEADY = 5.0  # seconds; an outlet that was open for so long starts again at the shortest delay
_ERRORS = (av.FFmpegError, OSError, ValueError, SinkError)
_SPOKEN = frozenset({"aac", "ac3", "amr_nb", "g722", "g726", "mp2", "mp3", "opus", "pcm_alaw", "pcm_mulaw"})  # by RTP


@dataclass(slots=True)
class OutletState:
    """What an outlet does at a moment."""

    name: str  # without its password
    state: Literal["waiting", "open", "failed", "over"] = "waiting"
    packets: int = 0  # written
    drops: int = 0  # packets that it was too slow for, or that came while it could not be opened
    reconnects: int = 0  # times that it was opened again after a failure
    error: str = ""  # the last


class Outlet:
    """Writes what it is offered to one destination, from a thread of its own."""

    def __init__(self, destination: Destination, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._destination, self._clock = destination, clock
        self._state = OutletState(destination.name)
        self._queue: KeyedQueue[Encoded] = KeyedQueue(_WAITING)
        self._muxer: _Muxer | None = None
        self._failures = 0  # in a row, or soon after one another
        self._told = False  # of a failure that is not over
        self._opened = 0.0
        self._retry_at = 0.0
        self._warned: set[str] = set()
        self._worker = Worker(self._run, name=f"outlet {destination.name}", on_end=lambda _: None)

    def offer(self, packet: Encoded) -> None:
        """Take a packet; never waits. Raises what should not have happened in the outlet's thread."""
        if self._worker.error:
            raise self._worker.error
        self._queue.put(packet, is_key=packet.is_key)

    def snapshot(self) -> OutletState:
        """Say how it goes."""
        return replace(self._state, drops=self._state.drops + self._queue.dropped)

    def close(self) -> None:
        """Ask for the end, which comes when everything queued is written."""
        self._queue.close()

    def wait(self, seconds: float) -> None:
        """Wait for the end; raises what should not have happened."""
        if error := self._worker.wait(seconds):
            raise error

    def _run(self) -> None:
        state = self._state
        for packet in self._queue:
            if state.state == "over" or self._clock() < self._retry_at:
                state.drops += 1
                continue
            try:
                self._write(packet)
            except _ERRORS as error:
                self._fail(error)
        self._close()
        state.state = "over"

    def _write(self, packet: Encoded) -> None:
        muxer = self._muxer
        if packet.is_key and (muxer is None or muxer.ends_before(packet)):
            self._close()
            self._muxer = muxer = _Muxer(self._destination, packet)
            self._warn(muxer.warnings)
            self._state.reconnects += self._state.state == "failed"
            self._state.state, self._opened = "open", self._clock()
            if self._told:
                log.info("%s: open again", self._destination.name)
                self._told = False
        if muxer is None:
            self._state.drops += 1
        elif muxer.write(packet):
            self._state.packets += 1

    def _fail(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        text = f"cannot write {self._destination.name}: {hidden(reason, self._destination.address)}"
        if self._muxer and self._clock() - self._opened > _STEADY:
            self._failures = 0
        if text != self._state.error or self._failures == 0:
            log.warning("%s", text)
            self._told = True
        self._retry_at = self._clock() + _RETRY[min(self._failures, len(_RETRY) - 1)]
        self._failures += 1
        self._state.drops += 1
        self._state.state, self._state.error = "over" if self._destination.once else "failed", text
        self._close()

    def _close(self) -> None:
        muxer, self._muxer = self._muxer, None
        if muxer is not None:
            with contextlib.suppress(*_ERRORS):  # the end of what has failed, which was told already
                muxer.close()

    def _warn(self, warnings: Iterable[str]) -> None:
        for warning in set(warnings) - self._warned:
            self._warned.add(warning)
            log.warning("%s: %s", self._destination.name, warning)


class _Muxer:
    """One opened file or connection."""

    def __init__(self, destination: Destination, first: Encoded) -> None:
        self.warnings: list[str] = []
        self._edition, self._first = first.edition, first.pts
        self._start = first.pts if destination.rebased else 0
        self._segment = destination.segment
        muxer = destination.muxer
        self._target = destination.target()
        file = self._target.ffmpeg if isinstance(self._target, Pipe) else self._target
        self._output = av.open(file, "w", format=muxer, container_options=dict(destination.options))
        self._output.metadata.update(tagged({}, self._edition.tag, "mpegts" if muxer == "hls" else muxer))
        self._streams: dict[int, Stream] = {}
        self._last: dict[int, int] = {}  # decoding times
        for number, template in enumerate(self._edition.streams):
            if number == 0 or _holds(muxer, template):
                self._streams[number] = self._output.add_stream_from_template(template, opaque=number > 0)
            else:
                self.warnings.append(f"{template.name} sound is left out: {muxer} cannot hold it")
        self._output.start_encoding()

    def ends_before(self, packet: Encoded) -> bool:
        """Whether a key frame belongs into the next file or connection."""
        over = self._segment is not None and (packet.pts - self._first) / TICKS >= self._segment - 0.02
        return over or packet.edition is not self._edition

    def write(self, packet: Encoded) -> bool:
        """Write a packet unless it is none of this file; say whether."""
        stream = self._streams.get(packet.stream) if packet.edition is self._edition else None
        ready = None if stream is None else packet.packet(stream, self._start)
        if ready is None or stream is None or (ready.dts or 0) <= self._last.get(packet.stream, -1):
            return False  # sound of before the first picture, or times that go back: FFmpeg refuses both
        self._last[packet.stream] = ready.dts or 0
        self._output.mux_one(ready)
        return True

    def close(self) -> None:
        """Write the end."""
        try:
            self._output.close()
        finally:
            if isinstance(self._target, Pipe):
                self._target.discard()


def _holds(muxer: str, stream: "Stream") -> bool:
    if muxer != "rtsp":
        return holds_stream("mpegts" if muxer == "hls" else muxer, stream)
    context = stream.codec_context
    return stream.name in _SPOKEN and (stream.name != "aac" or bool(context.extradata))
