"""A camera breaks in every way there is, and comes back: how soon, in which state meanwhile, and who else notices."""

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from urllib.parse import quote

import pytest
from camera import Camera
from fakes import FakeSink, Tint

from streamcolor.engine import Engine, Feed
from streamcolor.feed import LINGER, RETRY
from streamcolor.frames import Frame
from streamcolor.metrics import State
from streamcolor.sources import live
from streamcolor.sources.live import LiveSource

FREEZE = 1.0  # seconds, as set in these tests; promised: a freeze is seen within it
CLOSED = 0.2  # promised: seconds within which a closed connection is seen
DROPPED = 0.5  # promised: seconds to be back after a drop, beyond the wait for a key frame
OUTAGE = 2.5  # promised: the same after an outage of any length
STOP = 3.0  # promised: seconds in which sixteen feeds stop
KEY = 0.4  # seconds between key frames of these clips
BUSY = 2.5  # seconds more, for other work on the machine that runs the tests
ON_THE_ROAD = 5  # pictures that are sent and not yet counted, when two counts are taken one after the other
OPENING = 1.0  # seconds that a camera may take to answer, in these tests
PASSWORD = "c4n@ry/p w?#"  # nothing may ever show it


class Viewer:
    """What comes out of a feed: every session's sink tells it of its frames."""

    def __init__(self):
        self.frames = []
        self.sessions = []  # StreamInfo of each
        self._arrived = threading.Semaphore(0)

    def make_sink(self):
        return ViewerSink(self)

    def show(self, frame):
        self.frames.append(frame)
        self._arrived.release()

    def sees(self, count=5, *, within=20.0):
        """Whether `count` more frames arrive in time."""
        until = time.monotonic() + within
        return all(self._arrived.acquire(timeout=max(0.0, until - time.monotonic())) for _ in range(count))

    def forget(self):
        """Count from here on."""
        while self._arrived.acquire(blocking=False):
            pass


class ViewerSink(FakeSink):
    def __init__(self, viewer):
        super().__init__()
        self._viewer = viewer

    def open(self, info):
        super().open(info)
        self._viewer.sessions.append(info)

    def write(self, item):
        if isinstance(item, Frame):
            self._viewer.show(item)


def feed(camera, viewer, name="gate", **more):
    """A feed whose password is in the address that it uses."""
    more = {"denied_delays": (0.3,), **more}
    url = camera.url()
    return Feed(name, lambda stream: LiveSource(stream, url, freeze=FREEZE), viewer.make_sink, live=True, **more)


@contextmanager
def engine_of(*feeds):
    engine = Engine(Tint())
    thread = threading.Thread(target=engine.run, args=(feeds,), kwargs={"forever": True})
    thread.start()
    try:
        until(lambda: len(engine.snapshot()) == len(feeds), within=BUSY)
        yield engine
    finally:
        engine.stop()
        thread.join(20)
    assert not thread.is_alive()


def until(condition, *, within):
    """Wait for what another thread is about to do; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - began


def state_of(engine, name="gate"):
    return engine.snapshot()[name].state


@pytest.fixture(autouse=True)
def _quick_to_give_up(monkeypatch):
    monkeypatch.setattr(live, "OPENING", OPENING)


@pytest.fixture(autouse=True)
def told(caplog, capfd):
    """Everything that is said during a test; in none of it is the password, in whatever form."""
    caplog.set_level(logging.DEBUG)
    texts = []
    yield texts
    captured = capfd.readouterr()
    everything = "\n".join([caplog.text, captured.out, captured.err, *texts])
    assert not [form for form in (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD)) if form in everything]
    assert "c4n" not in everything


@pytest.fixture
def camera(clip):
    with Camera(clip, user="guard", password=PASSWORD) as camera:
        yield camera


@dataclass(frozen=True)
class Outage:
    """A way to be away: how it begins and ends, what is said and how soon it must be seen."""

    begin: Callable[[Camera], object]
    end: Callable[[Camera], object]
    says: str
    seen: float = CLOSED
    state: State = State.LOST


def cut_off(**changes):
    """Change the camera's faults, and cut the connection so that the next attempt meets them."""

    def do(camera):
        for name, value in changes.items():
            setattr(camera.faults, name, value)
        camera.reset()

    return do


def lock(camera):
    camera.password = PASSWORD[::-1]
    camera.reset()


def unlock(camera):
    camera.password = PASSWORD


OUTAGES = {
    "away": Outage(Camera.vanish, Camera.appear, "Connection refused"),
    "frozen": Outage(
        lambda camera: setattr(camera.faults, "freeze", True),
        lambda camera: setattr(camera.faults, "freeze", False),
        "no picture for",
        seen=FREEZE,
    ),
    "silent": Outage(cut_off(silent=True), lambda camera: setattr(camera.faults, "silent", False), "no picture for"),
    "stalled": Outage(cut_off(stalled=True), cut_off(stalled=False), "no data came within the time limit"),
    "hanging up": Outage(cut_off(refuse=True), cut_off(refuse=False), "hung up"),
    "not found": Outage(cut_off(missing=True), cut_off(missing=False), "404 Not Found"),
    "locked": Outage(lock, unlock, "401 Unauthorized", state=State.DENIED),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_an_outage_is_seen_in_time_named_and_survived(camera, outage, told):
    viewer = Viewer()
    with engine_of(feed(camera, viewer)) as engine:
        assert viewer.sees()
        outage.begin(camera)
        until(lambda: state_of(engine) is not State.LIVE, within=outage.seen + BUSY)
        until(lambda: outage.says in engine.snapshot()["gate"].error, within=OPENING + FREEZE + BUSY)
        assert state_of(engine) is outage.state
        told.append(str(engine.snapshot()))
        viewer.forget()
        outage.end(camera)
        assert viewer.sees(within=OUTAGE + KEY + BUSY)
        assert state_of(engine) is State.LIVE
        told.append(str(engine.snapshot()))
    assert engine.snapshot()["gate"].reconnects >= 1
    assert all(later.pts > earlier.pts for earlier, later in pairwise(viewer.frames)), "time goes on over all sessions"


@pytest.mark.parametrize("drop", [Camera.hang_up, Camera.reset])
def test_a_dropped_connection_is_mended_at_once(camera, drop):
    viewer = Viewer()
    with engine_of(feed(camera, viewer)) as engine:
        assert viewer.sees()
        drop(camera)
        until(lambda: engine.snapshot()["gate"].reconnects == 1, within=CLOSED + DROPPED + KEY + BUSY)
        viewer.forget()
        assert viewer.sees(1, within=BUSY)


def test_a_camera_is_back_soon_although_it_was_away_for_long(camera):
    viewer = Viewer()
    camera.vanish()
    longest = feed(camera, viewer, retry_delays=RETRY[-1:])  # as after an hour of failures
    with engine_of(longest) as engine:
        until(lambda: engine.snapshot()["gate"].error, within=BUSY)
        camera.appear()
        assert viewer.sees(1, within=OUTAGE + KEY + BUSY)


def test_all_cameras_may_be_away_at_the_start(clip):
    with (
        Camera(clip, away=True, user="guard", password=PASSWORD) as one,
        Camera(clip, away=True, user="guard", password=PASSWORD) as other,
    ):
        viewers = Viewer(), Viewer()
        with engine_of(feed(one, viewers[0], "one"), feed(other, viewers[1], "other")) as engine:
            until(lambda: all(state_of(engine, name) is State.LOST for name in ("one", "other")), within=BUSY)
            one.appear()
            assert viewers[0].sees(within=OUTAGE + KEY + BUSY)
            other.appear()
            assert viewers[1].sees(within=OUTAGE + KEY + BUSY)


@pytest.mark.parametrize(("other", "size"), [("larger_clip", (320, 192)), ("hevc_clip", (160, 96))])
def test_a_camera_that_is_set_to_another_size_or_codec_goes_on_in_a_new_session(camera, other, size, request):
    viewer = Viewer()
    with engine_of(feed(camera, viewer)):
        assert viewer.sees()
        camera.switch(request.getfixturevalue(other))
        until(lambda: len(viewer.sessions) == 2, within=FREEZE + DROPPED + KEY + BUSY)
        viewer.forget()
        assert viewer.sees()
    assert (viewer.sessions[-1].width, viewer.sessions[-1].height) == size
    assert viewer.frames[-1].luma.shape == size[::-1]


@pytest.mark.parametrize("fault", ["loss", "corrupt"])
def test_a_bad_line_is_lived_with(camera, fault, told):
    viewer = Viewer()
    with engine_of(feed(camera, viewer)) as engine:
        assert viewer.sees()
        setattr(camera.faults, fault, 0.05)
        assert viewer.sees(60, within=3 * (60 / 25 + BUSY))
        told.append(str(engine.snapshot()))
        setattr(camera.faults, fault, 0.0)
        viewer.forget()
        assert viewer.sees()


def test_a_frozen_a_locked_and_a_garbled_camera_cost_the_others_nothing(clip):
    names = ("frozen", "locked", "garbled", "good")
    with ExitStack() as stack:
        cameras = {name: stack.enter_context(Camera(clip, user="guard", password=PASSWORD)) for name in names}
        viewers = {name: Viewer() for name in names}
        engine = stack.enter_context(engine_of(*(feed(cameras[name], viewers[name], name) for name in names)))
        assert all(viewer.sees() for viewer in viewers.values())
        cameras["frozen"].faults.freeze = True
        cameras["garbled"].faults.corrupt = 1.0
        lock(cameras["locked"])
        until(lambda: state_of(engine, "frozen") is State.LOST, within=FREEZE + BUSY)
        until(lambda: state_of(engine, "locked") is State.DENIED, within=BUSY)

        def unread():
            return cameras["good"].sent - engine.snapshot()["good"].read.frames

        before = unread()
        viewers["good"].forget()
        assert viewers["good"].sees(50, within=2 + 2 * BUSY)
        until(lambda: abs(unread() - before) <= ON_THE_ROAD, within=BUSY)  # else pictures were lost for good
        counts = engine.snapshot()["good"]
        assert (counts.state, counts.sessions) == (State.LIVE, 1)
        assert 0 <= counts.read.frames - counts.write.frames - counts.dropped <= ON_THE_ROAD


def test_sixteen_cameras_stop_in_time_also_those_that_hang(clip):
    with Camera(clip) as camera, Camera(clip) as frozen:
        viewers = [Viewer() for _ in range(16)]
        feeds = [feed(frozen if n % 4 == 0 else camera, viewer, str(n)) for n, viewer in enumerate(viewers)]
        with engine_of(*feeds) as engine:
            assert all(viewer.sees(1) for viewer in viewers)
            frozen.faults.freeze = True
            began = time.monotonic()
            engine.stop()
            until(lambda: not [thread for thread in threading.enumerate() if thread.name == "model"], within=STOP)
        assert time.monotonic() - began < STOP
    assert LINGER < STOP


def test_a_hundred_failed_attempts_are_one_line(camera, caplog):
    attempts, viewer = [], Viewer()
    camera.vanish()
    given = feed(camera, viewer, retry_delays=(0.0,))
    counted = replace(given, connect=lambda stream: attempts.append(stream) or given.connect(stream))
    with engine_of(counted):
        until(lambda: len(attempts) > 100, within=BUSY)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("streamcolor")]
    assert len(lines) == 1
    assert "Connection refused" in lines[0]


def test_nothing_is_left_of_a_lost_connection_even_without_the_garbage_collector(camera, larger_clip):
    opened, beside, viewer = [], [], Viewer()
    given = feed(camera, viewer)

    def connect(stream):
        beside.extend(source() for source in opened if source())  # what is left while the next one opens
        source = given.connect(stream)
        opened.append(weakref.ref(source))
        return source

    gc.collect()
    gc.disable()
    try:
        with engine_of(replace(given, connect=connect)) as engine:
            for fault in (Camera.reset, Camera.hang_up, lambda camera: camera.switch(larger_clip)):
                assert viewer.sees()
                count = len(opened)
                fault(camera)
                until(lambda before=count: len(opened) > before, within=FREEZE + BUSY)
                viewer.forget()
            cut_off(missing=True)(camera)
            until(lambda: "404" in engine.snapshot()["gate"].error, within=20)
            until(lambda: not [source for source in opened if source()], within=BUSY)
    finally:
        gc.enable()
    assert len(opened) >= 4
    assert beside == []
