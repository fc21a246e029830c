"""Colored video to browsers: a WebSocket carries one camera's fragments, as fast as that browser takes them."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamcolor.web import Station, Subscription

VIEWERS = 128  # a thread for each
PATIENCE = 10.0  # seconds that a browser may take nothing
AGAIN, BUSY, UNKNOWN = 1012, 1013, 4404  # codes of a close: subscribe anew, try later, no such camera


class Viewers:
    """Everyone who watches. A viewer that does not read blocks its own thread only; its subscription drops."""

    def __init__(self, station: Station, *, most: int = VIEWERS, patience: float = PATIENCE) -> None:
        self._station, self._most, self._patience = station, most, patience
        self._threads = ThreadPoolExecutor(most, "viewer")
        self._watching = 0

    async def watch(self, socket: WebSocket) -> None:
        """Send a camera until it goes, its picture changes, or the viewer leaves."""
        await socket.accept()
        if self._watching >= self._most:
            await socket.close(BUSY, "too many viewers")
            return
        self._watching += 1
        try:
            subscribe = partial(self._station.subscribe, socket.path_params["name"])
            subscription = await asyncio.get_running_loop().run_in_executor(self._threads, subscribe)
            if subscription is None:
                await socket.close(UNKNOWN, "no such camera")
            else:
                await self._until_over(socket, subscription)
        finally:
            self._watching -= 1

    async def _until_over(self, socket: WebSocket, subscription: Subscription) -> None:
        tasks = [asyncio.create_task(work) for work in (self._send(socket, subscription), _left(socket))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            subscription.close()  # wakes the thread that waits in it
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError, WebSocketDisconnect):
                await tasks[0]

    async def _send(self, socket: WebSocket, subscription: Subscription) -> None:
        loop, chunks, first = asyncio.get_running_loop(), iter(subscription), True
        while (chunk := await loop.run_in_executor(self._threads, next, chunks, None)) is not None:
            async with asyncio.timeout(self._patience):
                if first:
                    await socket.send_text(subscription.mime)
                await socket.send_bytes(chunk)
            first = False
        await socket.close(AGAIN)


async def _left(socket: WebSocket) -> None:
    """Wait until the browser leaves; what it says is not heard."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
