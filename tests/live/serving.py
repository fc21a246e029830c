"""`streamcolor serve` in a process of its own, and a look at what it says."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
BUSY = 30.0  # seconds that anything may take on a machine that has other work too


class Server:
    """The running program: its log, its page's address, its API."""

    def __init__(self, file, *options, **environ):
        """Start it."""
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamcolor", "serve", str(file), *options],
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environ,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self):
        return "".join(self.lines)

    @property
    def address(self):
        found = re.search(r"the page is at (\S+)", self.log)
        return found and found[1]

    def feeds(self, password=""):
        """What the API says of each camera, by name."""
        headers = {"Authorization": f"Bearer {password}"} if password else {}
        with urllib.request.urlopen(urllib.request.Request(f"{self.address}api/feeds", headers=headers)) as answer:
            return {feed["name"]: feed for feed in json.load(answer)["feeds"]}

    def wait_for(self, text):
        """Wait until the log says something."""
        assert until(lambda: text in self.log or self.process.poll() is not None), self.log
        assert text in self.log, self.log

    def end(self, number):
        """Send a signal; give exit code and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(BUSY)
        seconds = time.monotonic() - began
        self._reader.join()
        return code, seconds

    def _read(self):
        self.lines.extend(self.process.stderr)
        self.process.stderr.close()


@contextmanager
def serving(file, *options, **environ):
    """Run the program until the end of the block."""
    server = Server(file, "--port", "0", *options, **environ)
    try:
        assert until(lambda: server.address or server.process.poll() is not None), server.log
        assert server.address, server.log
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server._reader.join()


def write_cameras(path, **cameras):
    """Write a file of cameras, each an address or a mapping."""
    each = {name: {"url": camera} if isinstance(camera, str) else camera for name, camera in cameras.items()}
    path.write_text(yaml.safe_dump({"cameras": each}, sort_keys=False))
    return path


def until(condition, seconds=BUSY):
    """Poll until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
