"""One encoder for all outputs and viewers of a live feed, which outlives the feed's sessions.

    session ──Frame──▶ ┐                        ┌─▶ Outlet (a queue and a thread each): file, HLS, RTSP, pipe
    session ──Frame──▶ ├─ one thread: LiveEncoder ─┼─▶ Outlet
    nobody:  the card ─┘                        └─▶ Subscription (a queue; the viewer's own thread)

Only that thread touches the encoder: others hand it a request and wait, so that frames are dropped before the network.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import partial
from queue import Empty, SimpleQueue
from typing import Literal

from streamcolor.errors import SinkError
from streamcolor.frames import Frame, Item, StreamInfo
from streamcolor.sinks.card import card
from streamcolor.sinks.destinations import Destination
from streamcolor.sinks.fragments import Fragments, Subscription
from streamcolor.sinks.live_encoder import TICKS, Encoded, LiveEncoder, check_codec
from streamcolor.sinks.outlet import Outlet, OutletState
from streamcolor.worker import Worker

SILENCE = 0.8  # seconds without a picture after which the card is shown; of slow cameras, three pictures,
SLOWEST = 5.0  # but no more than this
CARD_EVERY = 0.2  # seconds
CLOSING = 1.8  # seconds that outlets have for writing their ends
_LOOK_EVERY = 0.1  # seconds between looks at the clock
_OFF_AXIS = (
    5.0  # seconds that time stamps may be away from the clock's; those of sources that count otherwise are moved
)
_STEP = TICKS // 1000  # the least between two pictures: what the coarsest container can tell apart


@dataclass(frozen=True, slots=True)
class BroadcastState:
    """What a broadcast does at a moment."""

    showing: Literal["nothing", "camera", "card"] = "nothing"
    width: int = 0
    height: int = 0
    mime: str = ""  # for browsers, as in Subscription
    frames: int = 0  # of the camera, encoded
    cards: int = 0
    viewers: int = 0
    outlets: tuple[OutletState, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether there were outlets, and none of them can ever write again."""
        return bool(self.outlets) and all(outlet.state == "over" for outlet in self.outlets)


@dataclass(slots=True)
class _Request:
    """Work for the encoder's thread."""

    work: Callable[[], None]
    error: SinkError | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Broadcast:
    """Encodes what the sessions of a feed write, once, for every destination and subscription."""

    def __init__(
        self,
        name: str,
        destinations: Iterable[Destination] = (),
        *,
        codec: str | None = None,
        crf: float = 23,
        preset: str = "veryfast",
        tag: str = "",  # see synthetic_color()
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._clock = name, clock
        self._make_encoder = partial(LiveEncoder, codec=check_codec(codec, preset), crf=crf, preset=preset, tag=tag)
        self._encoder: LiveEncoder | None = None
        self._fragments: Fragments | None = None
        self._viewers: list[Subscription] = []
        self._frames = self._cards = 0
        self._patience = SILENCE
        self._seen = self._shown = float("-inf")  # when the last frame came, the last card was made
        self._axis = _Axis()
        self._over = threading.Event()
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()  # None: close
        self._outlets = tuple(Outlet(each, clock=clock) for each in destinations)
        self._worker = Worker(self._run, name=f"encode {name}", on_end=lambda _: self._over.set())

    def make_sink(self) -> "SessionSink":
        """Make the sink of one session."""
        return SessionSink(self)

    def open(self, info: StreamInfo) -> None:
        """Get ready for a session: with the encoder that there is, if it fits. Raises SinkError."""
        self._do(partial(self._open, info))

    def write(self, item: Item) -> None:
        """Encode a frame, or pass a packet of sound on; returns when it is done. Raises SinkError."""
        self._do(partial(self._write, item))

    def subscribe(self) -> Subscription:
        """Give a new viewer what is encoded from now on."""
        viewer = Subscription()
        try:
            self._do(partial(self._admit, viewer))
        except SinkError:  # it is closed
            viewer.close()
        return viewer

    def snapshot(self) -> BroadcastState:
        """Say how it goes."""
        encoder, fragments = self._encoder, self._fragments
        lost = self._seen < self._shown
        return BroadcastState(
            showing="nothing" if self._seen == float("-inf") else "card" if lost else "camera",
            width=encoder.edition.info.width if encoder else 0,
            height=encoder.edition.info.height if encoder else 0,
            mime=fragments.mime if fragments else "",
            frames=self._frames,
            cards=self._cards,
            viewers=sum(not viewer.closed for viewer in list(self._viewers)),
            outlets=tuple(outlet.snapshot() for outlet in self._outlets),
        )

    def close(self) -> None:
        """End subscriptions and outlets, whose files are whole then; one that hangs is left behind after `CLOSING`."""
        until = time.monotonic() + CLOSING
        self._requests.put(None)
        self._over.wait(CLOSING)
        for outlet in self._outlets:
            outlet.close()
        for outlet in self._outlets:
            outlet.wait(max(0.0, until - time.monotonic()))
        if error := self._worker.wait(0):
            raise error

    def _do(self, work: Callable[[], None]) -> None:
        """Have the encoder's thread do something, and wait for it; raises also what that thread has died of."""
        request = _Request(work)
        self._requests.put(request)
        while not request.done.wait(0 if self._over.is_set() else 0.1):
            if self._over.is_set():
                raise self._worker.error or SinkError(f"{self._name}: the broadcast is closed")
        if request.error:
            raise request.error

    def _run(self) -> None:
        try:
            while (request := self._next()) is not None:
                try:
                    request.work()
                except SinkError as error:
                    request.error = error
                request.done.set()
                self._show_card()  # also while nothing but sound arrives
            self._finish()
        finally:
            self._leave()

    def _next(self) -> _Request | None:
        """Wait for a request; meanwhile, show the card when it is time."""
        while True:
            try:
                return self._requests.get(timeout=_LOOK_EVERY)
            except Empty:
                self._show_card()

    def _open(self, info: StreamInfo) -> None:
        self._axis.begin_session()
        self._info = info
        self._be_patient(1 / float(info.rate) if info.rate > 0 else 0.0)
        self._nominal = round(TICKS / info.rate) if info.rate > 0 else TICKS // 25
        if self._encoder is None or not self._encoder.fits(info):
            encoder = self._make_encoder(info)
            self._finish()
            self._encoder, self._fragments = encoder, Fragments(encoder.edition)

    def _write(self, item: Item) -> None:
        encoder, now = self._encoder, self._clock()
        if encoder is None:  # it failed at the card, while this session was silent
            raise SinkError(f"{self._name}: the encoder has failed")
        if not isinstance(item, Frame):
            if self._axis.moved is not None:  # sound of before the first picture has no place yet
                self._send(encoder.carry(item, Fraction(self._axis.moved)))
            return
        if self._axis.moved is not None:  # cameras need not tell the truth about their rate
            self._be_patient(now - self._seen)
        pts = self._axis.place(float(item.pts * self._info.time_base), now)
        self._seen = now
        self._frames += 1
        self._encode(encoder, item, pts, self._nominal)

    def _be_patient(self, interval: float) -> None:
        """Take a camera for lost only when three pictures are missing."""
        self._patience = max(SILENCE, min(3 * interval, SLOWEST))

    def _show_card(self) -> None:
        now, encoder = self._clock(), self._encoder
        if encoder is None or self._seen == float("-inf"):
            return  # of what size?
        if now - self._seen < self._patience or now - self._shown < CARD_EVERY:
            return
        lines = ["NO SIGNAL", self._name, datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")]
        picture = card(encoder.edition.info, lines)
        self._shown = now
        self._cards += 1
        with contextlib.suppress(SinkError):  # the next session finds out by itself
            self._encode(encoder, picture, self._axis.at(now), round(CARD_EVERY * TICKS))

    def _encode(self, encoder: LiveEncoder, picture: Frame, pts: int, duration: int) -> None:
        try:
            packets = list(encoder.encode(picture, pts, duration))
        except SinkError:  # as of a GPU that was reset: the next session gets an encoder that works
            self._encoder = None
            self._leave()
            raise
        self._send(packets)

    def _send(self, packets: Iterable[Encoded]) -> None:
        for packet in packets:
            for outlet in self._outlets:
                outlet.offer(packet)
            if packet.stream == 0 and self._viewers:
                self._show(packet)

    def _show(self, packet: Encoded) -> None:
        assert self._fragments is not None
        data = self._fragments.make(packet)
        self._viewers = [viewer for viewer in self._viewers if not viewer.closed]
        for viewer in self._viewers:
            viewer.offer(self._fragments, data, is_key=packet.is_key)

    def _admit(self, viewer: Subscription) -> None:
        self._viewers = [each for each in self._viewers if not each.closed] + [viewer]
        if self._encoder:
            self._encoder.forced = True  # or it would wait a second for its first picture

    def _finish(self) -> None:
        """End an edition: what the encoder still holds goes out, and viewers must begin anew."""
        if self._encoder:
            self._send(self._encoder.finish())
            self._leave()

    def _leave(self) -> None:
        for viewer in self._viewers:
            viewer.close()
        self._viewers = []


class SessionSink:
    """The sink of one session of a feed: hands over to the broadcast, and leaves it open."""

    warnings: tuple[str, ...] = ()

    def __init__(self, broadcast: Broadcast) -> None:
        self.open, self.write = broadcast.open, broadcast.write

    def finish(self) -> None:
        """Do nothing: the next session goes on."""

    def close(self) -> None:
        """Do nothing: the next session goes on."""


class _Axis:
    """Places the time stamps of sessions and cards on one axis, which begins at 0 and rises (1/90000 s)."""

    def __init__(self) -> None:
        self.moved: float | None = None  # seconds from the session's axis to ours; None: no picture yet
        self._zero: float | None = None  # of our axis, on the clock's
        self._last = -_STEP

    def begin_session(self) -> None:
        """Forget how the last session counted."""
        self.moved = None

    def place(self, seconds: float, now: float) -> int:
        """Give a picture of the session its time: as it is if it is the clock's, else from the clock."""
        zero = self._zero
        if self.moved is None or zero is None or abs(seconds + self.moved + zero - now) > _OFF_AXIS:
            away = 0.0 if abs(seconds - now) <= _OFF_AXIS else now - seconds
            self._zero = zero = seconds + away if zero is None else zero
            self.moved = away - zero
        return self._rise(seconds + self.moved)

    def at(self, now: float) -> int:
        """Give the time of something that happens now."""
        return self._rise(now - (self._zero or 0.0))

    def _rise(self, seconds: float) -> int:
        self._last = max(round(seconds * TICKS), self._last + _STEP)
        return self._last
