"""The state of all cameras in Prometheus' text format, made when it is asked for."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from streamcolor.metrics import BOUNDS, FeedCounts, State
from streamcolor.web import FeedView, Station

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATES = ("off", *State)
_LABELS = ("camera",)
_COUNTERS: Mapping[str, tuple[str, Callable[[FeedCounts], float]]] = {
    "frames_read": ("Frames that the camera sent", lambda counts: counts.read.frames),
    "frames_colored": ("Frames that reached the outputs", lambda counts: counts.write.frames),
    "frames_dropped": ("Frames and packets that were too old to be worth the work", lambda counts: counts.dropped),
    "reconnects": ("How many times the camera was opened again", lambda counts: counts.reconnects),
}


class Feeds(Collector):
    """Reads a station whenever Prometheus comes by."""

    def __init__(self, station: Station, clock: Callable[[], float] = time.monotonic) -> None:
        self._station, self._clock = station, clock

    def collect(self) -> Iterator[Metric]:
        """Give every metric with a sample for each camera."""
        views = self._station.feeds()
        running = [(view.name, view.counts) for view in views if view.counts is not None]
        yield from _states(views)
        yield from _present(running, self._clock())
        for what, (text, value) in _COUNTERS.items():
            family = CounterMetricFamily(_name(what), text, labels=_LABELS)
            for name, counts in running:
                family.add_metric([name], value(counts))
            yield family
        yield from _times(running)


def metrics(station: Station) -> Callable[[], bytes]:
    """Return what gives the text."""
    registry = CollectorRegistry()
    registry.register(Feeds(station))
    ProcessCollector(registry=registry)  # memory, processor time and file descriptors of the whole program
    return lambda: generate_latest(registry)


def _name(what: str) -> str:
    return f"streamcolor_camera_{what}"


def _states(views: Sequence[FeedView]) -> Iterator[Metric]:
    state = GaugeMetricFamily(_name("state"), "1 for what the camera is doing", labels=(*_LABELS, "state"))
    viewers = GaugeMetricFamily(_name("viewers"), "Browsers that watch", labels=_LABELS)
    for view in views:
        viewers.add_metric([view.name], view.viewers)
        for each in STATES:
            state.add_metric([view.name, each], view.state == each)
    yield state
    yield viewers


def _present(running: Sequence[tuple[str, FeedCounts]], now: float) -> Iterator[Metric]:
    age = GaugeMetricFamily(_name("last_frame_age_seconds"), "Since the latest frame of the camera", labels=_LABELS)
    fps = GaugeMetricFamily(_name("fps"), "Colored frames per second over the last five seconds", labels=_LABELS)
    for name, counts in running:
        fps.add_metric([name], counts.fps)
        if counts.last_frame is not None:
            age.add_metric([name], max(0.0, now - counts.last_frame))
    yield age
    yield fps


def _times(running: Sequence[tuple[str, FeedCounts]]) -> Iterator[Metric]:
    busy = CounterMetricFamily(_name("busy_seconds"), "Time spent per stage", labels=(*_LABELS, "stage", "clock"))
    delays = HistogramMetricFamily(_name("delay_seconds"), "From received to encoded, per frame", labels=_LABELS)
    bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    for name, counts in running:
        for stage in ("read", "color", "write"):
            spent = getattr(counts, stage)
            busy.add_metric([name, stage, "wall"], spent.wall)
            busy.add_metric([name, stage, "cpu"], spent.cpu)
        buckets = list(zip(bounds, map(float, accumulate(counts.delays.counts)), strict=True))
        delays.add_metric([name], buckets, counts.delays.total)
    yield busy
    yield delays
