"""A real uvicorn: its own thread, our signals, browsers that do not read."""

import socket
import time
import urllib.error
import urllib.request

import pytest
from stations import MIME, FakeStation
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from streamcolor.errors import ConfigError
from streamcolor.web.app import make_app
from streamcolor.web.server import WebServer
from streamcolor.web.video import Viewers


@pytest.fixture
def serve():
    """Start servers; close them at the end."""
    servers = []

    def serve(station, **viewing):
        app = make_app(station, password=None, viewers=Viewers(station, **viewing))
        servers.append(WebServer(app, "127.0.0.1", 0, on_end=lambda _: None))
        return servers[-1]

    yield serve
    for server in servers:
        assert server.close() is None


def watch(server, name="gate", **keywords):
    return connect(f"{server.address.replace('http', 'ws')}video/{name}", **keywords)


def test_it_serves_until_it_is_closed(serve):
    station = FakeStation("gate")
    server = serve(station)
    with urllib.request.urlopen(server.address + "healthz") as answer:
        assert answer.status == 200
        assert "server" not in answer.headers
    began = time.monotonic()
    with watch(server) as browser:
        assert browser.recv() == MIME
        assert server.close() is None
        assert (browser.recv(), browser.recv()) == (b"init", b"picture")
        with pytest.raises(ConnectionClosed):
            browser.recv(timeout=5)
    assert time.monotonic() - began < 2
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.address)
    assert station.subscriptions[0].closed.wait(5)


def test_an_address_that_is_taken_is_said_in_one_line(serve):
    port = int(serve(FakeStation()).address.rstrip("/").rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}: .*choose another --host or --port"):
        WebServer(make_app(FakeStation(), password=None), "127.0.0.1", port, on_end=lambda _: None)


def test_so_is_one_that_is_none():
    with pytest.raises(ConfigError, match="cannot listen on"):
        WebServer(make_app(FakeStation(), password=None), "no.such.host.invalid", 0, on_end=lambda _: None)


def test_an_address_of_ipv6_is_written_as_one():
    try:
        server = WebServer(make_app(FakeStation(), password=None), "::1", 0, on_end=lambda _: None)
    except ConfigError:
        pytest.skip("no IPv6 here")
    assert server.address.startswith("http://[::1]:")
    assert server.close() is None


def test_a_browser_that_never_reads_is_left_and_costs_the_others_nothing(serve):
    megabyte = b"x" * 1_000_000
    station = FakeStation("gate", chunks=[megabyte] * 30)
    server = serve(station, patience=0.5)
    host, _, port = server.address.removeprefix("http://").rstrip("/").partition(":")
    with socket.create_connection((host, int(port))) as deaf:
        deaf.sendall(
            f"GET /video/gate HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        with watch(server, max_size=None) as browser:
            assert browser.recv() == MIME
            assert [len(browser.recv()) for _ in range(30)] == [len(megabyte)] * 30
        left = next(each for each in station.subscriptions if each.taken < 30)
        assert left.closed.wait(10)


def test_what_waits_for_a_slow_browser_is_bounded(serve):
    station = FakeStation("gate", chunks=[b"x" * 10_000] * 2_000)
    server = serve(station)
    with watch(server, max_queue=1, close_timeout=0.1) as browser:
        assert browser.recv() == MIME
        until = time.monotonic() + 10
        before = -1
        while before != (before := station.subscriptions[0].taken) and time.monotonic() < until:
            time.sleep(0.3)
        assert before < 1_000, "20 MB must not be on the way"
