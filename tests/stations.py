"""A station without cameras, for the page and the API."""

import threading
from queue import SimpleQueue

from streamcolor.errors import ConfigError
from streamcolor.metrics import FeedCounts, State
from streamcolor.web import FeedView

MIME = 'video/mp4; codecs="avc1.42C01E"'


class FakeSubscription:
    """Gives what is put into `chunks`; None ends it."""

    def __init__(self, chunks=()):
        self.mime = ""
        self.taken = 0
        self.closed = threading.Event()
        self.chunks = SimpleQueue()
        for chunk in chunks:
            self.chunks.put(chunk)

    def __iter__(self):
        while (chunk := self.chunks.get()) is not None:
            self.mime = MIME
            self.taken += 1
            yield chunk

    def close(self):
        self.closed.set()
        self.chunks.put(None)


class FakeStation:
    """Cameras that are but names; a subscription for each that watches."""

    def __init__(self, *names, chunks=(b"init", b"picture")):
        self.views = {name: view(name) for name in names}
        self.is_ready = True
        self.changes = []
        self.subscriptions = []
        self._chunks = chunks

    def ready(self):
        return self.is_ready

    def feeds(self):
        return list(self.views.values())

    def put(self, name, camera):
        if "url" not in camera:
            raise ConfigError(f"cameras.{name}.url: is missing\ncameras.{name}: second")
        self.changes.append((name, camera))
        self.views[name] = view(name)

    def remove(self, name):
        self.changes.append((name, None))
        del self.views[name]

    def subscribe(self, name):
        if name not in self.views:
            return None
        self.subscriptions.append(FakeSubscription(self._chunks))
        return self.subscriptions[-1]


def view(name, **counts):
    """A live camera."""
    return FeedView(name=name, settings={"url": "rtsp://***@cam/x"}, counts=live(**counts), width=640, height=360)


def live(**changes):
    """Counts of a camera that has given ten frames, the last one at second 100."""
    counts = FeedCounts(state=State.LIVE, since=90.0, last_frame=100.0, fps=25.0, sessions=2, dropped=3)
    counts.read.count(10, 0.5, 0.25)
    for delay in (0.015, 0.015, 0.2, 9.0):
        counts.delays.count(delay)
    for name, value in changes.items():
        setattr(counts, name, value)
    return counts
