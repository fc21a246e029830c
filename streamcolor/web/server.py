"""uvicorn in a thread of its own, under our signals."""

import logging
import socket
from collections.abc import Callable
from contextlib import closing

import uvicorn
from starlette.types import ASGIApp

from streamcolor.errors import ConfigError
from streamcolor.worker import Worker

_UNSENT = 1 << 18  # bytes that may wait for a slow browser in the kernel: with more, what it shows is seconds old
_MOST = 512  # connections


class WebServer:
    """Serves an application from its making until `close`. Raises ConfigError if it cannot listen there."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, on_end: Callable[[Worker], None]) -> None:
        self._socket = _listen(host, port)
        name, bound = self._socket.getsockname()[:2]
        self.address = f"http://[{name}]:{bound}/" if ":" in name else f"http://{name}:{bound}/"
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,  # logging is the program's
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            ws_per_message_deflate=False,  # video does not get smaller
            limit_concurrency=_MOST,
        )
        self._server = uvicorn.Server(config)
        self._worker = Worker(self._serve, name="web", on_end=on_end)

    def close(self, seconds: float = 2.0) -> BaseException | None:
        """End soon, whether browsers let go or not; give what the thread raised."""
        self._server.should_exit = self._server.force_exit = True
        return self._worker.wait(seconds)

    def _serve(self) -> None:
        with closing(self._socket):
            self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot listen on {host} port {port}: {reason}; choose another --host or --port") from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)  # each connection inherits it
    return listening
