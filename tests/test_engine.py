"""What the engine promises: everything arrives, every end is clean, nothing ever hangs."""

import os
import signal
import threading
import time
from dataclasses import replace
from fractions import Fraction
from functools import partial

import pytest
from fakes import FakeSink, FakeSource, Tint, in_thread, picture, pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcolor import engine as engine_module
from streamcolor.engine import Engine, Feed
from streamcolor.errors import BackendError, SinkError, SourceError, SourceLost, StreamcolorError
from streamcolor.feed import PACKETS

pytestmark = pytest.mark.timeout(20)


def file_feed(source=None, sink=None, name="a"):
    """A feed that ends."""
    source = source or FakeSource()
    return Feed(name, lambda _: source, lambda: sink or FakeSink())


def live_feed(connect, make_sink=FakeSink, *, name="camera", retry_delays=(0.0,)):
    return Feed(name, connect, make_sink, live=True, retry_delays=retry_delays)


def halt_of(engine):
    """The event that tells the only feed of a run to end."""
    (run,) = engine._runs.values()
    return run.halted


def no_thread_is_left():
    names = ("model", "read ", "write ")
    return not [thread.name for thread in threading.enumerate() if thread.name.startswith(names)]


class TestOneFile:
    def test_every_frame_arrives_once_in_order_and_colored(self):
        sink = FakeSink()
        Engine(Tint()).run([file_feed(FakeSource(script=pictures(100)), sink)])
        assert [frame.pts for frame in sink.frames] == list(range(100))
        assert all((plane == 90).all() for frame in sink.frames for plane in frame.chroma)

    def test_luma_is_the_very_array_that_the_source_gave(self):
        given, sink = [picture(pts=pts) for pts in range(3)], FakeSink()
        Engine(Tint()).run([file_feed(FakeSource(script=given), sink)])
        assert all(before.luma is after.luma for before, after in zip(given, sink.frames, strict=True))

    def test_a_session_ends_by_the_road_of_its_data(self):
        log = []
        sink = FakeSink(log=log)
        Engine(Tint(log=log)).run([file_feed(FakeSource(script=pictures(2)), sink)])
        assert sorted(log) == ["close", "finish", "forget", "open", "write", "write"]
        assert log.index("forget") < log.index("finish") < log.index("close")

    def test_an_empty_source_is_finished_too(self):
        sink = FakeSink()
        Engine(Tint()).run([file_feed(FakeSource(script=()), sink)])
        assert sink.calls == ["open", "finish", "close"]

    def test_the_source_is_closed_once_and_after_the_sink(self):
        source, closed_first = FakeSource(), []
        sink = FakeSink()
        sink.close = lambda: closed_first.append(not source.closed)
        Engine(Tint()).run([file_feed(source, sink)])
        assert closed_first == [True]
        assert source.closed == 1

    def test_no_thread_is_left(self):
        Engine(Tint()).run([file_feed()])
        assert no_thread_is_left()

    @pytest.mark.parametrize(
        "script",
        [
            ["packet"] * 3000 + pictures(50),
            pictures(50) + ["packet"] * 3000,
            (["packet"] * 300 + pictures(20)) * 5,
            ["packet"] * 1000,
        ],
        ids=["sound first", "pictures first", "in bursts", "sound only"],
    )
    def test_sound_far_from_its_pictures_neither_blocks_nor_gets_lost(self, script):
        sink = FakeSink()
        Engine(Tint(), depth=2).run([file_feed(FakeSource(script=script), sink)])
        assert sink.packets == [number for number, kind in enumerate(script) if kind == "packet"]
        assert [frame.pts for frame in sink.frames] == [n for n, kind in enumerate(script) if kind == "frame"]
        assert sink.calls[-2:] == ["finish", "close"]

    @pytest.mark.parametrize(("kind", "bound"), [("frame", 2 * 3 + 2), ("packet", PACKETS + 2)])
    def test_a_slow_sink_holds_the_reader_back(self, kind, bound):
        gate = threading.Event()
        source, sink = FakeSource(script=[kind] * 2000), FakeSink(gate=gate)
        engine = Engine(Tint(), depth=3)
        given = []

        def watch(_):  # the third look comes when the reader has long been waiting
            given.append(source.given)
            if len(given) > 2 and given[-1] == given[-2]:
                gate.set()

        engine.run([file_feed(source, sink)], watch=watch, every=0.05)
        assert given[-2] <= bound or given[2] <= bound
        assert len(sink.items) == 2000


class TestErrors:
    @pytest.mark.parametrize("at", [0, 1, 60])
    @pytest.mark.parametrize("error", [SourceLost("gone"), SourceError("broken"), RuntimeError("a bug")])
    def test_a_failing_source_ends_the_run_with_its_error(self, at, error):
        sink = FakeSink()
        with pytest.raises(type(error), match=str(error)):
            Engine(Tint()).run([file_feed(FakeSource(script=[*pictures(at), error, *pictures(9)]), sink)])
        assert sink.calls[-1] == "close"
        assert "finish" not in sink.calls

    @pytest.mark.parametrize("after", [0, 1, 60])
    @pytest.mark.parametrize("error", [BackendError("out of memory"), ZeroDivisionError("a bug")])
    def test_a_failing_model_ends_the_run_with_its_error(self, after, error):
        source, sink = FakeSource(script=pictures(500)), FakeSink()
        with pytest.raises(type(error), match=str(error)):
            Engine(Tint(error=error, after=after)).run([file_feed(source, sink)])
        assert sink.calls.count("close") == source.closed == 1
        assert "finish" not in sink.calls

    @pytest.mark.parametrize(("fail", "after"), [("open", 0), ("write", 0), ("write", 60), ("finish", 0), ("close", 0)])
    @pytest.mark.parametrize("error", [SinkError("disk full"), TypeError("a bug")])
    def test_a_failing_sink_ends_the_run_with_its_error(self, fail, after, error):
        source, sink = FakeSource(script=pictures(500)), FakeSink(fail=fail, error=error, after=after)
        with pytest.raises(type(error), match=str(error)):
            Engine(Tint(), depth=2).run([file_feed(source, sink)])
        assert sink.calls.count("close") == source.closed == 1
        assert no_thread_is_left()

    def test_a_sink_that_cannot_be_made_closes_the_source(self):
        source = FakeSource()

        def make_sink():
            raise SinkError("no such folder")

        with pytest.raises(SinkError, match="no such folder"):
            Engine(Tint()).run([Feed("a", lambda _: source, make_sink)])
        assert source.closed == 1

    def test_a_source_that_cannot_be_opened_ends_the_run(self):
        def connect(_):
            raise SourceError("no such file")

        with pytest.raises(SourceError, match="no such file"):
            Engine(Tint()).run([Feed("a", connect, FakeSink)])

    def test_even_an_exit_in_a_thread_ends_the_run(self):
        def leave():
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            Engine(Tint()).run([file_feed(FakeSource(script=[leave]))])

    def test_the_first_error_is_the_one_that_is_told(self):
        sink = FakeSink(fail="close", error=SinkError("a consequence"))
        with pytest.raises(BackendError, match="the cause"):
            Engine(Tint(error=BackendError("the cause"))).run([file_feed(FakeSource(script=pictures(50)), sink)])

    def test_a_failing_file_stops_the_others_unfinished(self):
        never = threading.Event()
        source = FakeSource("b", [*pictures(3), lambda: never.wait(0.2), *pictures(10_000)])
        other = FakeSink()
        with pytest.raises(SourceLost):
            Engine(Tint()).run([file_feed(FakeSource(script=[SourceLost("gone")])), file_feed(source, other, name="b")])
        assert other.calls[-1] == "close"
        assert "finish" not in other.calls

    def test_a_sink_that_dies_while_its_reader_waits_for_room_frees_it(self):
        gate = threading.Event()
        source = FakeSource(script=pictures(1000))
        sink = FakeSink(fail="write", error=SinkError("disk full"), gate=gate)

        def watch(_):
            gate.set()

        with pytest.raises(SinkError):
            Engine(Tint(), depth=1).run([file_feed(source, sink)], watch=watch, every=0.1)
        assert source.given < 10

    def test_a_model_that_changes_the_number_of_frames_is_a_bug(self):
        class Lossy(Tint):
            def __call__(self, frames):
                return frames[1:]

        with pytest.raises(ValueError, match="zip"):
            Engine(Lossy()).run([file_feed()])

    def test_two_feeds_of_one_name_are_a_bug(self):
        with pytest.raises(AssertionError, match="one name"):
            Engine(Tint()).run([file_feed(), file_feed()])


class TestWhateverHappens:
    @settings(max_examples=40, deadline=None)
    @given(
        scripts=st.lists(st.lists(st.sampled_from(["frame", "packet"]), max_size=40), min_size=1, max_size=3),
        fault=st.sampled_from([None, "source", "model", "open", "write", "finish", "stop"]),
        at=st.integers(0, 30),
        batch=st.integers(1, 5),
        depth=st.integers(1, 4),
        wait=st.sampled_from([0.0, 0.001]),
    )
    def test_every_run_ends_and_only_whole_outputs_are_finished(self, *, scripts, fault, at, batch, depth, wait):
        error = StreamcolorError("the fault")
        model = Tint(error=error, after=at) if fault == "model" else Tint()
        engine = Engine(model, batch=batch, depth=depth, wait=wait)
        sinks = [FakeSink(fail=fault if number == 0 else None, error=error, after=at) for number in range(len(scripts))]
        if fault in {"source", "stop"}:
            scripts[0].insert(min(at, len(scripts[0])), error if fault == "source" else engine.stop)
        feeds = [
            file_feed(FakeSource(str(number), script), sink, name=str(number))
            for number, (script, sink) in enumerate(zip(scripts, sinks, strict=True))
        ]
        try:
            engine.run(feeds)
        except StreamcolorError:
            assert fault not in {None, "stop"}
        for script, sink in zip(scripts, sinks, strict=True):
            assert sink.calls.count("close") <= 1
            order = [frame.pts for frame in sink.frames]
            assert order == sorted(order)
            if "finish" in sink.calls:
                assert len(sink.items) == sum(step in ("frame", "packet") for step in script)
            if fault is None:
                assert sink.calls[-2:] == ["finish", "close"]
        assert no_thread_is_left()


class TestStop:
    def test_a_stopped_run_ends_well_but_finishes_nothing(self):
        engine = Engine(Tint())
        source = FakeSource(script=[*pictures(10), engine.stop, *pictures(100_000)])
        sink = FakeSink()
        engine.run([file_feed(source, sink)])
        assert sink.calls[-1] == "close"
        assert "finish" not in sink.calls
        assert engine.snapshot()["a"].finished == 0
        assert source.given < 100_000
        assert no_thread_is_left()

    def test_an_engine_stopped_before_its_run_does_not_finish(self):
        engine, sink = Engine(Tint()), FakeSink()
        engine.stop()
        engine.run([file_feed(FakeSource(script=pictures(100_000)), sink)])
        assert "finish" not in sink.calls

    @pytest.mark.parametrize("stuck", ["model", "sink"])
    def test_stop_reaches_a_reader_that_waits_for_room(self, stuck):
        gate = threading.Event()
        model = Tint(gate=gate if stuck == "model" else None)
        sink = FakeSink(gate=gate if stuck == "sink" else None)
        engine = Engine(model, depth=1)
        source = FakeSource(script=pictures(100_000))

        def watch(_):
            engine.stop()
            gate.set()

        engine.run([file_feed(source, sink)], watch=watch, every=0.05)
        assert source.given < 100_000

    def test_stop_does_not_wait_for_a_pipe_that_nobody_reads(self, monkeypatch):
        monkeypatch.setattr(engine_module, "LINGER", 0.05)
        engine, gate = Engine(Tint(), depth=1), threading.Event()
        sink = FakeSink(gate=gate)
        source = FakeSource(script=pictures(100_000))
        engine_feed = replace(file_feed(source, sink), leaves_file=False)
        engine.run([engine_feed], watch=lambda _: engine.stop(), every=0.05)
        assert not gate.is_set()
        assert "finish" not in sink.calls
        gate.set()

    def test_stop_ends_the_pause_before_a_reconnect(self):
        engine = Engine(Tint())
        lost = threading.Event()

        def connect(stream):
            lost.set()
            return FakeSource(stream, [SourceLost("gone")])

        in_thread(lambda: lost.wait() and engine.stop())
        engine.run([live_feed(connect, retry_delays=(3600.0,))])

    def test_stop_does_not_wait_for_a_silent_source(self, monkeypatch):
        monkeypatch.setattr(engine_module, "LINGER", 0.05)
        engine, sink, speak, closed = Engine(Tint()), FakeSink(), threading.Event(), threading.Event()
        source = FakeSource(script=[*pictures(3), engine.stop, speak.wait, *pictures(9)])
        source.close = closed.set
        engine.run([file_feed(source, sink)])
        assert sink.calls[-1] == "close"
        assert "finish" not in sink.calls
        assert not closed.is_set()
        speak.set()
        assert closed.wait(10), "its own thread closes it in the end"

    def test_stop_does_not_wait_for_a_connection(self, monkeypatch):
        monkeypatch.setattr(engine_module, "LINGER", 0.05)
        engine, sink, answer, closed = Engine(Tint()), FakeSink(), threading.Event(), threading.Event()
        source = FakeSource()
        source.close = closed.set

        def connect(_):
            engine.stop()
            answer.wait()
            return source

        engine.run([Feed("a", connect, lambda: sink)])
        answer.set()
        assert closed.wait(10)
        assert sink.calls == [], "nothing is opened behind the caller's back"

    @pytest.mark.parametrize("error", [SinkError("broken pipe"), SourceLost("interrupted")])
    def test_what_is_cut_off_by_a_stop_does_not_complain(self, error):
        engine = Engine(Tint())
        sink = FakeSink(fail="close", error=error)
        source = FakeSource(script=[*pictures(3), engine.stop, lambda: halt_of(engine).wait(), error])
        engine.run([file_feed(source, sink)])
        assert sink.calls[-1] == "close"

    def test_a_bug_is_told_even_after_a_stop(self):
        engine = Engine(Tint())
        sink = FakeSink(fail="close", error=TypeError("a bug"))
        with pytest.raises(TypeError, match="a bug"):
            engine.run(
                [file_feed(FakeSource(script=[*pictures(3), engine.stop, lambda: halt_of(engine).wait()]), sink)]
            )

    def test_stop_takes_no_lock_so_a_signal_handler_may_call_it_anywhere(self):
        engine = Engine(Tint())
        with engine._batcher._lock:
            engine.stop()
            engine.stop()

    @pytest.mark.parametrize("watched", [False, True])
    def test_a_signal_stops_a_run_in_the_main_thread(self, watched):
        engine, sink = Engine(Tint()), FakeSink()
        before = signal.signal(signal.SIGTERM, lambda *_: engine.stop())
        script = [*pictures(5), lambda: os.kill(os.getpid(), signal.SIGTERM), *pictures(1_000_000)]
        try:
            engine.run([file_feed(FakeSource(script=script), sink)], watch=(lambda _: None) if watched else None)
        finally:
            signal.signal(signal.SIGTERM, before)
        assert sink.calls[-1] == "close"
        assert "finish" not in sink.calls

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_an_exception_in_the_calling_thread_stops_everything_and_passes_on(self, error):
        sink = FakeSink()

        def watch(_):
            raise error

        with pytest.raises(error):
            Engine(Tint()).run([file_feed(FakeSource(script=pictures(1_000_000)), sink)], watch=watch, every=0.01)
        assert sink.calls[-1] == "close"
        assert "finish" not in sink.calls
        assert no_thread_is_left()


class TestManyFeeds:
    def test_many_files_share_the_model_and_all_arrive(self):
        sinks = {f"{number}": FakeSink() for number in range(6)}
        model = Tint()
        feeds = [file_feed(FakeSource(name, pictures(30 + int(name))), sink, name=name) for name, sink in sinks.items()]
        Engine(model, batch=4).run(feeds)
        for name, sink in sinks.items():
            assert [frame.pts for frame in sink.frames] == list(range(30 + int(name)))
            assert sink.calls[-2:] == ["finish", "close"]
        assert max(map(len, model.batches)) <= 4
        assert sorted(model.forgotten) == list(sinks)

    def test_a_stuck_sink_does_not_hold_up_another_file(self):
        gate = threading.Event()
        stuck, fine = FakeSink(gate=gate), FakeSink()
        fine.close = gate.set  # the stuck one goes on only when the other is done: without that, both hang
        Engine(Tint(), depth=2).run(
            [
                file_feed(FakeSource("stuck", pictures(50)), stuck, name="stuck"),
                file_feed(FakeSource("fine", pictures(200)), fine, name="fine"),
            ]
        )
        assert len(fine.frames) == 200
        assert len(stuck.frames) == 50


class TestSnapshot:
    def test_counts_of_every_stage_are_kept(self):
        engine = Engine(Tint())
        script = ["packet", *pictures(20)]
        engine.run([file_feed(FakeSource(script=script, frames=20, duration=0.8, time_base=Fraction(1, 25)))])
        counts = engine.snapshot()["a"]
        assert [counts.read.frames, counts.color.frames, counts.write.frames] == [20, 20, 20]
        assert counts.packets == 1
        assert counts.sessions == counts.finished == 1
        assert counts.dropped == 0
        assert counts.done == 1.0
        assert counts.position == pytest.approx(19 / 25)
        for stage in (counts.read, counts.color, counts.write):
            assert 0 < stage.wall < 20
            assert stage.cpu >= 0

    def test_a_stage_counts_its_own_time_only(self):
        slow = partial(time.sleep, 0.02)
        sink = FakeSink()
        sink.finish = partial(time.sleep, 0.3)
        engine = Engine(Tint())
        engine.run([file_feed(FakeSource(script=[slow, "frame", slow, "packet", slow]), sink)])
        counts = engine.snapshot()["a"]
        assert 0.06 <= counts.read.wall < 0.3 <= counts.write.wall
        assert counts.color.wall < 0.3

    def test_the_last_look_sees_the_end(self):
        looks = []
        Engine(Tint()).run([file_feed(FakeSource(script=pictures(7)))], watch=looks.append)
        assert looks[-1]["a"].write.frames == 7

    def test_an_engine_without_a_run_has_nothing_to_tell(self):
        assert Engine(Tint()).snapshot() == {}
