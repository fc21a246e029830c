"""Many cameras, one network: what runs, what changes, what everybody may see of it."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeAlias

from streamcolor.config import Camera, Config, Defaults, changed
from streamcolor.engine import Engine, Feed
from streamcolor.errors import ConfigError, StreamcolorError
from streamcolor.live import LiveSettings
from streamcolor.looks import Look, Looks
from streamcolor.metrics import FeedCounts
from streamcolor.sinks.broadcast import Broadcast
from streamcolor.sinks.fragments import Subscription
from streamcolor.urls import shown
from streamcolor.web import FeedView
from streamcolor.worker import Worker

log = logging.getLogger(__name__)

CLOSING = 2.0  # seconds that the outputs of a camera may take to close
AWAKE = 0.25  # seconds between looks whether there was a signal
ANSWER = 30.0  # seconds that whoever wants a change waits for it
_REMOTE = ("rtsp://", "rtsps://", "rtmp://", "rtmps://", "http://", "https://", "udp://", "rtp://", "tcp://")
_SHARED = {field.name for field in fields(LiveSettings)} & Defaults.model_fields.keys()
_LOOK = {field.name for field in fields(Look)}

MakeFeed: TypeAlias = Callable[[LiveSettings], tuple[Feed, Broadcast]]


@dataclass(frozen=True)
class Running:
    """A camera at work."""

    settings: LiveSettings
    feed: Feed
    broadcast: Broadcast


class Station:
    """The cameras that run. Only the thread of `run` changes them; all other methods may be called from any thread."""

    def __init__(self, engine: Engine, looks: Looks, make_feed: MakeFeed) -> None:
        self._engine, self._looks, self._make_feed = engine, looks, make_feed
        self._config = Config(cameras={})
        self._running: Mapping[str, Running] = {}  # never changed, always replaced
        self._changes: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._ready = False

    def run(self, config: Config) -> None:
        """Color the cameras until `stop`, or until something fails for good; its error is raised."""
        engine = Worker(partial(self._engine.run, forever=True), name="engine", on_end=lambda _: self.stop())
        try:
            self._apply(config)
            self._ready = True
            for change in iter(self._next, None):
                change()
        finally:
            self._ready = False
            self._engine.stop()
            _close(running.broadcast for running in self._running.values())
            error = engine.wait()
        if error:
            raise error

    def stop(self) -> None:
        """Ask `run` to end soon; fit for a signal handler."""
        self._changes.put(None)

    def reload(self, load: Callable[[], Config]) -> None:
        """Ask for the cameras that `load` gives; if it raises, that is logged and all go on. For a signal handler."""
        self._changes.put(partial(self._reload, load))

    def ready(self) -> bool:
        """Whether cameras are being colored, or would be if they were there."""
        return self._ready

    def feeds(self) -> list[FeedView]:
        """Return all cameras in the order of the file."""
        counts, running = self._engine.snapshot(), self._running
        return [
            _view(name, camera, counts.get(name) or FeedCounts(since=time.monotonic()), running.get(name))
            for name, camera in self._config.cameras.items()
        ]

    def put(self, name: str, camera: Mapping[str, object]) -> None:
        """Add a camera or replace it. Raises ConfigError; then nothing has changed."""
        self._wait_for(partial(self._put, name, camera))

    def remove(self, name: str) -> None:
        """Take a camera out. Raises ConfigError."""
        self._wait_for(partial(self._put, name, None))

    def subscribe(self, name: str) -> Subscription | None:
        """Begin to watch a camera; None if there is no such camera, or it is switched off."""
        running = self._running.get(name)
        return running.broadcast.subscribe() if running else None

    def _next(self) -> Callable[[], None] | None:
        # Of two signals at once the kernel may give one to another thread. Then nothing wakes this one, and only this
        # one runs Python's handlers.
        while True:
            try:
                return self._changes.get(timeout=AWAKE)
            except Empty:
                continue

    def _wait_for(self, change: Callable[[], None]) -> None:
        done: Future[None] = Future()

        def answer() -> None:
            try:
                change()
            except StreamcolorError as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._changes.put(answer)
        done.result(ANSWER)

    def _reload(self, load: Callable[[], Config]) -> None:
        try:
            config = load()
            if (config.model, config.backend) != (self._config.model, self._config.backend):
                log.warning("model and backend change with a restart only")
            self._apply(config)
        except ConfigError as error:
            log.error("not reloaded, all cameras go on as before:\n%s", error)  # noqa: TRY400  # no bug: no traceback

    def _put(self, name: str, camera: Mapping[str, object] | None) -> None:
        before = self._config.cameras.get(name)
        if camera is None:
            if before is None:
                raise ConfigError(f"there is no camera {name}")
            self._apply(changed(self._config, name, None))
        else:
            self._apply(changed(self._config, name, _admitted(name, camera, before)))

    def _apply(self, config: Config) -> None:
        """Make the running cameras those of `config`. Who has not changed does not notice; on an error nobody does."""
        before = self._running
        enabled = {name: camera for name, camera in config.cameras.items() if camera.enabled}
        wanted = {name: live_settings(name, camera) for name, camera in enabled.items()}
        kept = {name: each for name, each in before.items() if wanted.get(name) == each.settings}
        begun = self._make([settings for name, settings in wanted.items() if name not in kept])
        # Colors change without a restart.
        self._looks.choose({name: Look(**each.model_dump(include=_LOOK)) for name, each in enabled.items()})
        over = [name for name in before if name not in kept]
        for name in over:
            self._engine.remove(name)
        self._running, self._config = kept | begun, config
        _close(before[name].broadcast for name in over)  # before others write to the same places
        for running in begun.values():
            self._engine.add(running.feed)
        log.info("%d cameras: %d started, %d ended, %d untouched", len(wanted), len(begun), len(over), len(kept))

    def _make(self, cameras: Iterable[LiveSettings]) -> dict[str, Running]:
        made, problems = {}, []
        for settings in cameras:
            try:
                made[settings.name] = Running(settings, *self._make_feed(settings))
            except StreamcolorError as error:
                problems.append(f"cameras.{settings.name}: {error}")
        if problems:
            _close(running.broadcast for running in made.values())
            raise ConfigError("\n".join(problems))
        return made


def live_settings(name: str, camera: Camera) -> LiveSettings:
    """Say a camera in the words of `streamcolor run`."""
    return LiveSettings(name, camera.url, camera.outputs, **camera.model_dump(include=_SHARED))


def _close(broadcasts: Iterable[Broadcast]) -> None:
    """Close all at once: each may have to wait for a server that has gone."""
    closing = [Worker(broadcast.close, name="close", on_end=lambda _: None) for broadcast in broadcasts]
    until = time.monotonic() + CLOSING
    for worker in closing:
        if error := worker.wait(max(0.0, until - time.monotonic())):
            log.error("an output could not be closed", exc_info=error)


def _view(name: str, camera: Camera, counts: FeedCounts, running: Running | None) -> FeedView:
    settings = camera.model_dump() | {"url": shown(camera.url), "outputs": [shown(each) for each in camera.outputs]}
    if running is None:
        return FeedView(name=name, settings=settings, counts=None)
    state = running.broadcast.snapshot()
    return FeedView(
        name=name,
        settings=settings,
        counts=counts,
        width=state.width,
        height=state.height,
        showing=state.showing,
        viewers=state.viewers,
        outputs=[asdict(outlet) for outlet in state.outlets],
    )


def _admitted(name: str, camera: Mapping[str, object], before: Camera | None) -> dict[str, object]:
    """Check what came over the network: who may change cameras may not therefore read and write files here.

    An address that is as the API showed it, its password masked, stays the one that it is.
    """
    real = {shown(text): text for text in (before.url, *before.outputs)} if before else {}
    result: dict[str, object] = dict(camera)
    wrong = []
    for key in sorted({"url", "outputs"} & camera.keys()):
        value = camera[key]
        given = [real.get(str(each), each) for each in (value if isinstance(value, list) else [value])]
        result[key] = given if isinstance(value, list) else given[0]
        problems = (_problem(each) for each in given if isinstance(each, str) and each not in real.values())
        wrong += [f"cameras.{name}.{key}: {problem}" for problem in problems if problem]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return result


def _problem(text: str) -> str | None:
    if not text.lower().startswith(_REMOTE):
        return "the API takes addresses only, such as rtsp://…; files and devices are for cameras.yaml"
    return "its password is masked: write it" if "***" in text else None
