"""The application: page, login, API, metrics, health, video."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from streamcolor.errors import ConfigError
from streamcolor.metrics import BOUNDS
from streamcolor.web import FeedView, Station
from streamcolor.web.guard import COOKIE, Guard, Password
from streamcolor.web.prometheus import CONTENT_TYPE, metrics
from streamcolor.web.video import Viewers

STATIC = Path(__file__).parent / "static"
_LONGEST = 65536  # bytes of a request's body
_MONTH = 30 * 24 * 3600  # seconds that a browser stays logged in


def make_app(station: Station, *, password: Password | None, viewers: Viewers | None = None) -> ASGIApp:
    """Make the application for a station; without a password it serves this machine only, see Guard."""
    feeds, scrape, watching = _Feeds(station), metrics(station), viewers or Viewers(station)

    def ready(_: Request) -> Response:
        return PlainTextResponse("ready") if station.ready() else PlainTextResponse("not ready", 503)

    def measure(_: Request) -> Response:
        return Response(scrape(), media_type=CONTENT_TYPE)

    routes = [
        Route("/", lambda _: FileResponse(STATIC / "index.html")),
        Route("/login", _login(password), methods=["GET", "POST"]),
        Route("/healthz", lambda _: PlainTextResponse("healthy")),
        Route("/readyz", ready),
        Route("/metrics", measure),
        Route("/api/feeds", feeds.all, methods=["GET"]),
        Route("/api/feeds", feeds.add, methods=["POST"]),
        Route("/api/feeds/{name}", feeds.one, methods=["GET"]),
        Route("/api/feeds/{name}", feeds.put, methods=["PUT"]),
        Route("/api/feeds/{name}", feeds.remove, methods=["DELETE"]),
        WebSocketRoute("/video/{name}", watching.watch),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={ConfigError: _refused}), password)


class _Feeds:
    """The API: cameras as JSON."""

    def __init__(self, station: Station, clock: Callable[[], float] = time.monotonic) -> None:
        self._station, self._clock = station, clock

    def all(self, _: Request) -> Response:
        now = self._clock()
        return JSONResponse({"feeds": [described(view, now) for view in self._station.feeds()], "bounds": BOUNDS})

    def one(self, request: Request) -> Response:
        return JSONResponse(described(self._find(request.path_params["name"]), self._clock()))

    async def add(self, request: Request) -> Response:
        camera = await _json(request)
        name = camera.pop("name", None)
        if not isinstance(name, str):
            raise ConfigError("name: is missing")
        if any(view.name == name for view in self._station.feeds()):
            raise HTTPException(409, "there is a camera of this name; PUT changes it")
        await run_in_threadpool(self._station.put, name, camera)
        return JSONResponse(described(self._find(name), self._clock()), 201)

    async def put(self, request: Request) -> Response:
        name = request.path_params["name"]
        await run_in_threadpool(self._station.put, name, await _json(request))
        return JSONResponse(described(self._find(name), self._clock()))

    def remove(self, request: Request) -> Response:
        name = self._find(request.path_params["name"]).name
        self._station.remove(name)
        return Response(status_code=204)

    def _find(self, name: str) -> FeedView:
        for view in self._station.feeds():
            if view.name == name:
                return view
        raise HTTPException(404, "no such camera")


def described(view: FeedView, now: float) -> dict[str, object]:
    """Describe a camera in JSON: times in seconds, `age` and `since` before now, `delays` a count for each bound."""
    described: dict[str, object] = {
        "name": view.name,
        "state": view.state,
        "showing": view.showing,
        "width": view.width,
        "height": view.height,
        "viewers": view.viewers,
        "outputs": view.outputs,
        "settings": view.settings,
    }
    if (counts := view.counts) is not None:
        described |= {
            "since": round(now - counts.since, 3),
            "age": None if counts.last_frame is None else round(now - counts.last_frame, 3),
            "fps": counts.fps,
            "frames": counts.write.frames,
            "dropped": counts.dropped,
            "reconnects": counts.reconnects,
            "error": counts.error,
            "delays": counts.delays.counts,
        }
    return described


def _login(password: Password | None) -> Callable[[Request], object]:
    page = (STATIC / "login.html").read_text(encoding="utf-8")

    async def login(request: Request) -> Response:
        if request.method != "POST":
            return HTMLResponse(page)
        given = parse_qs((await _body(request)).decode(errors="replace")).get("password", [""])[0]
        if password is None or not password.is_text(given):
            return HTMLResponse(page.replace(" hidden", ""), 401)
        answer = RedirectResponse(".", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, password.cookie, max_age=_MONTH, httponly=True, samesite="lax", secure=secure)
        return answer

    return login


def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error).splitlines()}, 400)


async def _json(request: Request) -> dict[str, object]:
    try:
        content = json.loads(await _body(request))
    except ValueError as error:
        raise ConfigError("the body is not JSON") from error
    if not isinstance(content, dict):
        raise ConfigError("the body is no JSON object")
    return content


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST:
            raise HTTPException(413, "the body is too long")
    return body
