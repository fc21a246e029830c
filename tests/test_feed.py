"""What a feed promises: it comes back, it never gives up, and nobody else notices."""

import logging
import threading
import time
from functools import partial

import pytest
from fakes import FakeSink, FakeSource, Tint, in_thread, pictures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamcolor import engine as engine_module
from streamcolor import feed as feed_module
from streamcolor.engine import Engine, Feed
from streamcolor.errors import SinkError, SourceDenied, SourceError, SourceLost
from streamcolor.feed import DENIED, LINGER, RETRY, STEADY, pause
from streamcolor.metrics import State

pytestmark = pytest.mark.timeout(20)

OUTAGE = 2.5  # seconds after the end of an outage within which a camera is asked again, opening included
STOP = 3.0  # seconds in which any number of feeds stops


def live_feed(connect, make_sink=FakeSink, *, name="camera", retry_delays=(0.0,), **more):
    return Feed(name, connect, make_sink, live=True, retry_delays=retry_delays, **more)


class Pauses:
    """Stands in for the pauses of every feed: keeps what was asked for, without spread, and stops after some."""

    def __init__(self, monkeypatch, engine, after):
        self.asked = []
        self._engine, self._after = engine, after
        monkeypatch.setattr(feed_module, "pause", self._pause)

    def _pause(self, delays, failures):
        self.asked.append(delays[min(failures, len(delays)) - 1])
        if len(self.asked) < self._after:
            return 0.0
        self._engine.stop()
        return 3600.0


class Station:
    """A camera without an end: gives pictures until it is told to hang or to fail, and remembers its sessions."""

    def __init__(self, never=None):
        self._never = never
        self.sessions = []
        self.taken = threading.Semaphore(0)  # frames that a sink of its own took
        self.closed = threading.Event()  # a session's sink
        self.hang, self.fail = threading.Event(), threading.Event()

    def connect(self, stream):
        self.sessions.append(stream)
        return FakeSource(stream, self._script())

    def make_sink(self):
        return StationSink(self)

    def feed(self, name="camera", **more):
        return live_feed(self.connect, self.make_sink, name=name, **more)

    def gives(self, count=3):
        """Whether `count` more frames arrive."""
        return all(self.taken.acquire(timeout=10) for _ in range(count))

    def _script(self):
        while True:
            yield "frame"
            if self.fail.wait(0.002):
                self.fail.clear()
                yield SourceLost("told to")
            if self.hang.is_set():
                self._never.wait()


class StationSink(FakeSink):
    def __init__(self, station):
        super().__init__()
        self._station = station

    def write(self, _):
        self._station.taken.release()

    def close(self):
        super().close()
        self._station.closed.set()


@pytest.fixture
def never():
    """An event that nothing sets before the test is over; then every thread that waits for it may end."""
    event = threading.Event()
    yield event
    event.set()
    names = ("model", "read ", "write ")
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith(names)])


@pytest.fixture
def running(never):  # noqa: ARG001  # torn down before what hangs is let go
    """An engine that runs without an end, in a thread of its own."""
    engine = Engine(Tint())
    raised = []

    def run():
        try:
            engine.run(forever=True)
        except BaseException as error:
            raised.append(error)
            raise

    thread = in_thread(run)
    yield engine
    engine.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert raised == []


def until(condition):
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


class TestReopening:
    def test_a_lost_camera_is_reopened_as_a_new_stream(self):
        engine, model = Engine(Tint()), Tint()
        engine._colorize = model
        opened, sinks = [], []

        def connect(stream):
            opened.append(stream)
            if len(opened) == 4:
                engine.stop()
            return FakeSource(stream, ["frame", SourceLost("gone")])

        def make_sink():
            sinks.append(FakeSink())
            return sinks[-1]

        engine.run([live_feed(connect, make_sink)])
        assert opened[:4] == ["camera/0", "camera/1", "camera/2", "camera/3"]
        assert model.forgotten[:3] == ["camera/0", "camera/1", "camera/2"]
        for sink in sinks[:3]:
            assert len(sink.frames) == 1, "a frame on the road still reaches the sink of its session"
            assert sink.calls[-1] == "close"

    def test_a_broken_sink_is_reopened_too_and_only_for_its_feed(self):
        engine = Engine(Tint())
        sinks, good = [], FakeSink()

        def make_sink():
            sinks.append(FakeSink(fail="write", error=SinkError("viewer gone"), after=1))
            if len(sinks) == 3:
                engine.stop()
            return sinks[-1]

        bad = live_feed(lambda stream: FakeSource(stream, pictures(50)), make_sink, name="bad")
        calm = live_feed(lambda stream: FakeSource(stream, pictures(50)), lambda: good, name="calm", retry_delays=(99,))
        engine.run([bad, calm])
        assert len(sinks) >= 3
        assert all(sink.calls[-1] == "close" for sink in sinks)
        assert good.calls[0] == "open"

    def test_each_failure_waits_longer_and_a_steady_session_starts_over(self, monkeypatch):
        now = [0.0]
        engine = Engine(Tint(), clock=lambda: now[0])
        pauses = Pauses(monkeypatch, engine, after=6)

        def connect(stream):
            if stream == "camera/4":
                now[0] += STEADY + 1
            raise SourceError("no route")

        engine.run([live_feed(connect, retry_delays=(1, 2, 5))])
        assert pauses.asked == [1, 2, 5, 5, 1, 2]

    def test_a_clean_end_waits_the_shortest_delay(self, monkeypatch):
        engine = Engine(Tint())
        pauses = Pauses(monkeypatch, engine, after=1)
        engine.run([live_feed(FakeSource, retry_delays=(1, 2, 5))])
        assert pauses.asked == [1]

    def test_a_wrong_password_is_tried_seldom_and_a_repaired_one_is_forgotten(self, monkeypatch):
        engine = Engine(Tint())
        pauses = Pauses(monkeypatch, engine, after=7)
        answers = [*[SourceDenied("no")] * 5, SourceLost("gone"), SourceDenied("no")]

        def connect(_):
            raise answers[len(pauses.asked)]

        engine.run([live_feed(connect, retry_delays=RETRY)])
        assert pauses.asked == [*DENIED, DENIED[-1], RETRY[-1], DENIED[0]]
        assert DENIED[-1] == 60

    def test_the_first_attempt_after_a_loss_is_at_once_and_the_last_ones_are_not_far_apart(self):
        assert pause(RETRY, 1) == 0
        late = [pause(RETRY, failures) for failures in (6, 100, 10_000)]
        assert all(RETRY[-1] * 0.75 <= seconds <= RETRY[-1] <= OUTAGE - 0.5 for seconds in late)
        assert len({pause(RETRY, 100) for _ in range(20)}) > 10, "cameras of one switch do not come back in step"

    def test_an_attempt_that_took_long_has_waited_already(self):
        now, engine = [0.0], Engine(Tint(), clock=lambda: now[0])
        opened = []

        def connect(stream):
            opened.append(stream)
            if len(opened) == 3:
                engine.stop()
                raise SourceLost("enough")
            now[0] += 3600
            raise SourceLost("no answer")

        engine.run([live_feed(connect, retry_delays=(3600,))])
        assert len(opened) >= 3

    def test_memory_is_given_back_after_a_session_and_not_after_every_attempt(self, monkeypatch):
        engine, given = Engine(Tint()), []
        Pauses(monkeypatch, engine, after=5)
        monkeypatch.setattr(feed_module, "give_memory_back", lambda: given.append(len(opened)))
        opened = []

        def connect(stream):
            opened.append(stream)
            if len(opened) != 2:
                raise SourceLost("away")
            return FakeSource(stream)

        engine.run([live_feed(connect)])
        assert (len(opened), given) == (5, [2])

    def test_a_live_feed_without_retry_delays_ends(self):
        sink = FakeSink()
        Engine(Tint()).run([live_feed(FakeSource, lambda: sink, retry_delays=())])
        assert sink.calls[-1] == "close"
        with pytest.raises(SourceLost, match="gone"):
            Engine(Tint()).run([live_feed(lambda _: FakeSource(script=[SourceLost("gone")]), retry_delays=())])

    def test_a_bug_ends_even_a_live_run(self):
        with pytest.raises(RuntimeError, match="a bug"):
            Engine(Tint()).run([live_feed(lambda stream: FakeSource(stream, [RuntimeError("a bug")]))])


class TestTelling:
    def test_an_outage_is_one_line_however_often_it_is_tried(self, monkeypatch, caplog):
        engine = Engine(Tint())
        Pauses(monkeypatch, engine, after=5)
        texts = ["gone", "gone", "refused", "refused", "gone"]

        def connect(stream):
            raise SourceLost(f"{stream}: {texts[int(stream.partition('/')[2])]}")

        with caplog.at_level(logging.WARNING):
            engine.run([live_feed(connect)])
        assert caplog.messages == ["camera: gone", "camera: refused", "camera: gone"]

    def test_dropped_frames_are_told_once_a_second_with_their_number(self, caplog):
        now, gate = [0.0], threading.Event()
        engine = Engine(Tint(gate=gate), clock=lambda: now[0])

        def later():
            now[0] += 0.25

        source = FakeSource("camera/0", [*pictures(4), *(["frame", later] * 12), gate.set])
        with caplog.at_level(logging.WARNING):
            engine.run([live_feed(lambda _: source, retry_delays=())])
        told = [
            int(text.split()[3].rstrip(",")) for text in caplog.messages if text.startswith("camera: frames dropped")
        ]
        assert 3 <= len(told) <= 4
        assert sum(told) <= engine.snapshot()["camera"].dropped

    def test_the_state_follows_what_happens(self, monkeypatch):
        engine, states = Engine(Tint()), []
        Pauses(monkeypatch, engine, after=4)
        answers = [SourceError("refused"), SourceDenied("password"), None, SourceLost("gone")]

        def connect(stream):
            counts = engine.snapshot()["camera"]
            states.append((counts.state, counts.error))
            answer = answers[len(states) - 1]
            if answer:
                raise answer
            return FakeSource(stream, [lambda: states.append((engine.snapshot()["camera"].state, "")), "frame"])

        answers.insert(3, None)  # the place that the script takes
        engine.run([live_feed(connect)])
        assert states == [
            (State.CONNECTING, ""),
            (State.LOST, "refused"),
            (State.DENIED, "password"),
            (State.LIVE, ""),
            (State.LOST, "the input ended"),
        ]
        assert engine.snapshot()["camera"].state is State.ENDED
        assert engine.snapshot()["camera"].sessions == 1

    def test_a_lost_camera_has_been_lost_since_the_loss(self, monkeypatch):
        now = [100.0]
        engine, since = Engine(Tint(), clock=lambda: now[0]), []
        Pauses(monkeypatch, engine, after=4)

        def connect(_):
            since.append(engine.snapshot()["camera"].since)
            now[0] += 1
            raise SourceLost("gone")

        engine.run([live_feed(connect)])
        assert since == [100.0, 101.0, 101.0, 101.0]


class TestTheNewestFrameWins:
    def test_a_slow_model_drops_old_frames_and_counts_them(self):
        gate, sink = threading.Event(), FakeSink()
        engine = Engine(Tint(gate=gate), batch=2)
        source = FakeSource("camera/0", [*pictures(100), gate.set])
        engine.run([live_feed(lambda _: source, lambda: sink, retry_delays=())])
        dropped = engine.snapshot()["camera"].dropped
        assert dropped >= 100 - 2
        assert dropped + len(sink.frames) == 100
        assert sink.frames[-1].pts == 99, "the newest frame counts"

    def test_a_stuck_sink_costs_its_camera_frames_and_the_model_nothing(self):
        gate, model = threading.Event(), Tint()
        engine, sink = Engine(model), FakeSink(gate=gate)
        source = FakeSource("camera/0", [*pictures(200), gate.set])
        engine.run([live_feed(lambda _: source, lambda: sink, retry_delays=())])
        assert model.seen == len(sink.frames) < 5

    def test_the_delay_of_every_frame_is_counted(self):
        engine = Engine(Tint(), clock=lambda: 0.05)  # frames of a FakeSource were captured at 0
        engine.run([live_feed(lambda stream: FakeSource(stream, ["frame"]), retry_delays=())])
        assert engine.snapshot()["camera"].delays.quantile(1) == 0.06
        assert engine.snapshot()["camera"].last_frame == 0.0


class TestWithoutAnEnd:
    def test_an_engine_runs_without_feeds_and_takes_them_while_it_runs(self, running):
        one, other = Station(), Station()
        assert running.snapshot() == {}
        running.add(one.feed("one"))
        assert one.gives()
        running.add(other.feed("other"))
        assert other.gives()
        assert set(running.snapshot()) == {"one", "other"}

    def test_removing_a_feed_ends_that_one_only(self, running):
        one, other = Station(), Station()
        running.add(one.feed("one"))
        running.add(other.feed("other"))
        assert one.gives()
        assert other.gives()
        running.remove("one")
        assert one.closed.wait(10)
        until(lambda: set(running.snapshot()) == {"other"})
        assert other.gives(20)
        assert len(one.sessions) == len(other.sessions) == 1

    def test_removing_what_is_not_there_changes_nothing(self, running):
        station = Station()
        running.remove("nobody")
        running.add(station.feed())
        assert station.gives()

    def test_a_feed_of_the_same_name_replaces_the_old_one_when_its_sink_is_closed(self, running):
        old, new = Station(), Station()
        order = []
        old_sink, new_sink = old.make_sink(), new.make_sink()
        old_sink.close = lambda: order.append("old closed")
        new_sink.open = lambda _: order.append("new opened")
        running.add(live_feed(old.connect, lambda: old_sink))
        assert old.gives()
        running.add(live_feed(new.connect, lambda: new_sink))
        assert new.gives()
        assert order == ["old closed", "new opened"]
        assert old.sessions != new.sessions, "a session's name is used once"

    def test_a_removed_feed_may_come_back_while_its_old_thread_still_hangs(self, running, never):
        old, new = Station(never), Station()
        running.add(old.feed())
        assert old.gives()
        old.hang.set()
        running.remove("camera")
        running.add(new.feed())
        assert new.gives()

    def test_a_removed_feed_is_not_opened_again(self, running):
        opened, answer = [], threading.Event()
        source = FakeSource("camera/0")

        def connect(stream):
            opened.append(stream)
            answer.wait()
            return source

        sinks = []
        running.add(live_feed(connect, lambda: sinks.append(FakeSink()) or sinks[-1]))
        until(lambda: opened)
        running.remove("camera")
        until(lambda: running.snapshot() == {})
        answer.set()
        until(lambda: source.closed)
        assert (len(opened), sinks) == (1, [])

    def test_what_a_removed_file_says_to_being_cut_off_ends_nothing(self, running):
        station = Station()
        sink = FakeSink(fail="close", error=SinkError("cut off"))
        running.add(Feed("file", lambda stream: FakeSource(stream, station._script()), lambda: sink))
        until(lambda: sink.items)
        running.remove("file")
        until(lambda: "close" in sink.calls)
        running.add(station.feed())
        assert station.gives()

    def test_an_ended_file_stays_in_the_snapshot(self, running):
        running.add(Feed("file", lambda stream: FakeSource(stream, pictures(3)), FakeSink))
        until(lambda: (counts := running.snapshot().get("file")) and counts.state is State.ENDED)
        assert running.snapshot()["file"].finished == 1


class TestWhateverIsAsked:
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.tuples(st.sampled_from(["add", "open", "remove", "fail", "hang", "look"]), st.sampled_from("abc")),
            max_size=12,
        )
    )
    def test_the_engine_ends_in_time_and_every_opened_sink_is_closed(self, monkeypatch, never, steps):
        for module in (engine_module, feed_module):
            monkeypatch.setattr(module, "LINGER", 0.1)
        engine, stations, sinks = Engine(Tint()), [], []

        def make_sink():
            sinks.append(FakeSink())
            return sinks[-1]

        run = in_thread(partial(engine.run, forever=True))
        for step, name in steps:
            if step in {"add", "open"}:
                stations.append(Station(never))
                engine.add(live_feed(stations[-1].connect, make_sink, name=name))
                until(lambda asked=step: asked == "add" or stations[-1].sessions)
            elif step == "remove":
                engine.remove(name)
            elif step == "look":
                assert set(engine.snapshot()) <= set("abc")
            elif stations:
                (stations[-1].fail if step == "fail" else stations[-1].hang).set()
        engine.stop()
        run.join(LINGER + STOP)
        assert not run.is_alive()
        assert all(sink.calls[-1] == "close" for sink in sinks if sink.calls)
        assert all(sink.calls.count("close") <= 1 for sink in sinks)


class TestNeighbors:
    def test_a_dead_a_hanging_and_a_stuck_feed_cost_the_others_no_frame(self, running, never):
        good, hanging = Station(), Station(never)

        def dead(_):
            raise SourceLost("no route")

        running.add(live_feed(dead, name="dead"))
        running.add(hanging.feed("hanging"))
        assert hanging.gives()
        hanging.hang.set()
        stuck = Station()
        running.add(live_feed(stuck.connect, lambda: FakeSink(gate=never), name="stuck"))
        until(lambda: running.snapshot().get("stuck") and running.snapshot()["stuck"].dropped > 10)
        running.add(good.feed("good"))
        assert good.gives(100)
        assert len(good.sessions) == 1

    def test_sixteen_feeds_stop_in_time_although_every_sink_hangs(self, never):
        engine = Engine(Tint())
        stations = [Station() for _ in range(16)]
        feeds = [
            live_feed(station.connect, lambda: FakeSink(gate=never), name=str(number))
            for number, station in enumerate(stations)
        ]
        run = in_thread(engine.run, feeds)
        until(lambda: all(counts.dropped for counts in engine.snapshot().values()) and len(engine.snapshot()) == 16)
        began = time.monotonic()
        engine.stop()
        run.join(10)
        assert time.monotonic() - began < STOP
        assert LINGER < STOP

    def test_sixteen_healthy_feeds_stop_at_once_with_every_sink_closed(self):
        engine, stations = Engine(Tint()), [Station() for _ in range(16)]
        run = in_thread(engine.run, [station.feed(str(number)) for number, station in enumerate(stations)])
        assert all(station.gives() for station in stations)
        began = time.monotonic()
        engine.stop()
        run.join(10)
        assert time.monotonic() - began < LINGER
        assert all(station.closed.is_set() for station in stations)

    def test_a_loss_is_mended_while_the_others_go_on(self, running):
        lost, fine = Station(), Station()
        running.add(lost.feed("lost", retry_delays=RETRY))
        running.add(fine.feed("fine"))
        assert lost.gives()
        lost.fail.set()
        until(lambda: len(lost.sessions) == 2)
        lost.taken = threading.Semaphore(0)
        assert lost.gives()
        assert fine.gives()
        assert len(fine.sessions) == 1
        until(lambda: running.snapshot()["lost"].reconnects == 1)
