"""A station changes only what has changed, whoever asks, and ends in time."""

import logging
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest

from streamcolor.config import Camera, Config
from streamcolor.errors import BackendError, ConfigError, SinkError
from streamcolor.metrics import FeedCounts, State
from streamcolor.sinks.broadcast import BroadcastState
from streamcolor.sinks.outlet import OutletState
from streamcolor.station import Station, live_settings
from streamcolor.worker import Worker


class FakeEngine:
    """Writes down what it is asked for; runs until it is stopped or told to fail."""

    def __init__(self, log):
        self.log = log
        self.over = threading.Event()
        self.error = None
        self.counts = {}

    def run(self, *, forever):
        assert forever
        self.over.wait()
        self.log.append("engine ended")
        if self.error:
            raise self.error

    def add(self, feed):
        self.log.append(f"add {feed.name}")
        self.counts[feed.name] = FeedCounts(state=State.LIVE)

    def remove(self, name):
        self.log.append(f"remove {name}")
        self.counts.pop(name)

    def stop(self):
        self.over.set()

    def snapshot(self):
        return dict(self.counts)


class FakeBroadcast:
    """Writes down that it is closed."""

    def __init__(self, name, log, gate):
        self.name, self.log, self.gate = name, log, gate

    def close(self):
        assert self.gate.wait(30)
        self.log.append(f"close {self.name}")

    def subscribe(self):
        return f"video of {self.name}"

    def snapshot(self):
        outlet = OutletState(name="rtsp://***@out/x", state="open", packets=1, drops=0, reconnects=0, error="")
        return BroadcastState(showing="camera", width=640, height=360, viewers=2, outlets=(outlet,))


class FakeLooks:
    def choose(self, looks):
        self.chosen = looks


@pytest.fixture
def log():
    return []


@pytest.fixture
def gate():
    """Without it no output closes."""
    gate = threading.Event()
    gate.set()
    return gate


@pytest.fixture
def station(log, gate):
    def make_feed(settings):
        if settings.codec == "nonsense":
            raise SinkError("unknown video codec nonsense")
        return SimpleNamespace(name=settings.name, settings=settings), FakeBroadcast(settings.name, log, gate)

    return Station(FakeEngine(log), FakeLooks(), make_feed)


@pytest.fixture
def start(station):
    """Run the station in a thread, which is given; stop it at the end."""
    workers = []

    def start(**cameras):
        workers.append(Worker(partial(station.run, config(**cameras)), name="station", on_end=lambda _: None))
        while not station.ready() and workers[-1].wait(0.01) is None:
            pass
        return workers[-1]

    yield start
    station.stop()
    for worker in workers:
        worker.wait(10)
        assert not worker._thread.is_alive()


def config(defaults=None, **cameras):
    return Config.model_validate({"defaults": defaults, "cameras": cameras})


def settle(station):
    """Wait until everything that was asked for is done."""
    done = threading.Event()
    station._changes.put(done.set)
    assert done.wait(10)


def reload(station, **cameras):
    station.reload(lambda: config(**cameras))
    settle(station)


GATE, YARD, BARN = ({"url": f"rtsp://u:canary@{name}/x"} for name in ("gate", "yard", "barn"))


class TestReload:
    def test_only_what_changed_restarts(self, start, station, log):
        start(gate=GATE, yard=YARD, barn=BARN)
        assert log == ["add gate", "add yard", "add barn"]
        log.clear()
        reload(station, gate=GATE, yard=YARD | {"crf": 30}, shed=BARN)
        assert sorted(log[:2]) == ["remove barn", "remove yard"]
        assert sorted(log[2:4]) == ["close barn", "close yard"]
        assert log[4:] == ["add yard", "add shed"]

    def test_nothing_changed_is_nothing_done(self, start, station, log):
        start(gate=GATE)
        log.clear()
        reload(station, gate=GATE)
        assert log == []

    def test_a_change_of_the_defaults_restarts_who_inherits_them(self, start, station, log):
        start(gate=GATE, yard=YARD | {"crf": 20})
        log.clear()
        reload(station, defaults={"crf": 20}, gate=GATE, yard=YARD | {"crf": 20})
        assert log == ["remove gate", "close gate", "add gate"]

    def test_a_camera_that_is_switched_off_ends_and_stays_in_the_list(self, start, station, log):
        start(gate=GATE)
        log.clear()
        reload(station, gate=GATE | {"enabled": False})
        assert log == ["remove gate", "close gate"]
        assert [(view.name, view.state) for view in station.feeds()] == [("gate", "off")]
        assert station.subscribe("gate") is None

    def test_a_file_that_cannot_be_used_is_reported_and_all_go_on(self, start, station, log, caplog):
        start(gate=GATE)
        log.clear()

        def load():
            raise ConfigError("cameras.yaml:3: cameras.gate.crf: wrong")

        with caplog.at_level(logging.ERROR):
            station.reload(load)
            settle(station)
        assert "cameras.yaml:3: cameras.gate.crf: wrong" in caplog.text
        assert log == []
        assert station.feeds()[0].state == "live"

    def test_so_is_one_with_an_output_that_cannot_be(self, start, station, log, caplog):
        start(gate=GATE)
        log.clear()
        reload(station, yard=YARD, gate=GATE | {"codec": "nonsense"}, barn=BARN | {"codec": "nonsense"})
        assert "cameras.gate: unknown video codec nonsense\ncameras.barn: unknown" in caplog.text
        assert log == ["close yard"], "made, and not needed"
        assert [view.name for view in station.feeds()] == ["gate"]

    def test_another_network_is_said_to_need_a_restart(self, start, station, caplog):
        start(gate=GATE)
        station.reload(lambda: Config.model_validate({"model": "other.onnx", "cameras": {"gate": GATE}}))
        settle(station)
        assert "change with a restart only" in caplog.text

    def test_colors_change_without_a_restart(self, start, station, log):
        start(gate=GATE, yard=YARD)
        log.clear()
        reload(station, gate=GATE | {"saturation": 2, "vividness": 0}, yard=YARD)
        assert log == []
        assert station._looks.chosen["gate"].saturation == 2
        assert station.feeds()[0].settings["saturation"] == 2

    def test_looks_are_those_of_the_cameras(self, start, station):
        start(gate=GATE | {"saturation": 0.5}, yard=YARD)
        assert {name: look.saturation for name, look in station._looks.chosen.items()} == {"gate": 0.5, "yard": 1.0}


class TestApi:
    def test_a_camera_is_added_changed_and_removed(self, start, station, log):
        start(gate=GATE)
        station.put("yard", YARD)
        assert log == ["add gate", "add yard"]
        station.put("yard", YARD | {"crf": 40})
        assert log[2:] == ["remove yard", "close yard", "add yard"]
        station.remove("yard")
        assert log[5:] == ["remove yard", "close yard"]
        assert [view.name for view in station.feeds()] == ["gate"]

    @pytest.mark.parametrize(
        ("camera", "message"),
        [
            ({"url": "rtsp://cam", "crf": 99}, "cameras.yard.crf: Input should be less"),
            ({"url": "rtsp://cam", "codec": "nonsense"}, "cameras.yard: unknown video codec"),
            ({}, "cameras.yard.url: is missing"),
            ({"url": 7}, "cameras.yard.url: Input should be a valid string"),
            ({"url": "/etc/passwd"}, "cameras.yard.url: the API takes addresses only"),
            ({"url": "file:///etc/passwd"}, "cameras.yard.url: the API takes addresses only"),
            ({"url": "concat:a|b"}, "cameras.yard.url: the API takes addresses only"),
            ({"url": "rtsp://cam", "outputs": "/etc/cron.d/x.ts"}, "cameras.yard.outputs: the API takes addresses"),
            ({"url": "rtsp://cam", "outputs": ["hls:/srv"]}, "cameras.yard.outputs: the API takes addresses"),
            ({"url": "rtsp://***@cam"}, "cameras.yard.url: its password is masked: write it"),
        ],
    )  # fmt: skip
    def test_a_mistake_changes_nothing(self, start, station, log, camera, message):
        start(gate=GATE)
        with pytest.raises(ConfigError, match=message):
            station.put("yard", camera)
        assert log == ["add gate"]

    def test_a_name_must_be_one(self, start, station):
        start()
        with pytest.raises(ConfigError, match="cameras: 'a/b' is no name"):
            station.put("a/b", GATE)

    def test_a_camera_that_is_not_there_cannot_go(self, start, station):
        start(gate=GATE)
        with pytest.raises(ConfigError, match="there is no camera yard"):
            station.remove("yard")

    def test_what_the_api_showed_can_be_given_back_with_one_change(self, start, station):
        start(gate=GATE | {"outputs": ["/srv/gate.mp4", "rtsp://u:canary@out/gate"]})
        settings = station.feeds()[0].settings
        assert "canary" not in str(settings)
        station.put("gate", settings | {"crf": 40})
        camera = station._config.cameras["gate"]
        assert camera == Camera(url=GATE["url"], outputs=("/srv/gate.mp4", "rtsp://u:canary@out/gate"), crf=40)

    def test_no_secret_is_read_for_it(self, start, station):
        start(gate=GATE)
        station.put("yard", {"url": "rtsp://evil.org/${HOME}"})
        assert station._config.cameras["yard"].url == "rtsp://evil.org/${HOME}"


class TestView:
    def test_everybody_may_look(self, start, station):
        start(gate=GATE)
        (view,) = station.feeds()
        assert (view.name, view.state, view.showing, view.width, view.viewers) == ("gate", "live", "camera", 640, 2)
        assert view.outputs[0]["state"] == "open"
        assert view.settings["url"] == "rtsp://***@gate/x"
        assert station.subscribe("gate") == "video of gate"
        assert station.subscribe("none") is None

    def test_a_camera_that_has_just_been_asked_for_is_connecting(self, start, station):
        start(gate=GATE)
        station._engine.counts.clear()
        assert station.feeds()[0].state == "connecting"

    def test_it_is_ready_while_it_runs(self, start, station):
        assert not station.ready()
        running = start()
        assert station.ready()
        station.stop()
        running.wait(10)
        assert not station.ready()

    def test_a_camera_has_all_its_settings(self):
        camera = Camera(url="u", outputs="o.mkv", transport="udp", freeze=9, codec="c", crf=1, preset="p", segment=60)
        settings = live_settings("gate", camera)
        assert (settings.name, settings.input, settings.outputs) == ("gate", "u", ("o.mkv",))
        for name in ("transport", "freeze", "codec", "crf", "preset", "segment"):
            assert getattr(settings, name) == getattr(camera, name)


class TestEnd:
    def test_a_stop_closes_all(self, start, station, log):
        running = start(gate=GATE, yard=YARD)
        log.clear()
        station.stop()
        assert running.wait(10) is None
        assert set(log) == {"close gate", "close yard", "engine ended"}

    def test_outputs_that_hang_are_left_in_time(self, start, station, gate, monkeypatch):
        monkeypatch.setattr("streamcolor.station.CLOSING", 0.2)
        running = start(**{f"camera{number}": {"url": f"rtsp://cam/{number}"} for number in range(16)})
        gate.clear()
        began = time.monotonic()
        station.stop()
        running.wait(10)
        assert 0.2 <= time.monotonic() - began < 2
        gate.set()

    def test_the_end_of_the_engine_ends_it_with_its_error(self, start, station):
        running = start(gate=GATE)
        station._engine.error = BackendError("the network cannot be run")
        station._engine.stop()
        assert str(running.wait(10)) == "the network cannot be run"

    def test_a_first_configuration_that_cannot_be_used_ends_it(self, start):
        assert "cameras.gate: unknown video codec" in str(start(gate=GATE | {"codec": "nonsense"}).wait(10))
