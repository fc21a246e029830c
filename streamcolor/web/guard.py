"""Who may see the page: a password in constant time, no foreign sites, headers that keep the browser strict."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamcolor.urls import is_local

COOKIE = "streamcolor"
HEALTH = frozenset({"/healthz", "/readyz"})
_PUBLIC = frozenset({"/login", "/static/style.css"})
_PORT = re.compile(r":\d+$")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with less, browsers do not say from where a form is sent
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Password:
    """What opens the page: the password itself, or the cookie that a browser gets for it."""

    text: str = field(repr=False)
    cookie: str = field(init=False, repr=False)  # survives a restart; scrypt, so that a cookie does not give it away

    def __post_init__(self) -> None:
        key = hashlib.scrypt(self.text.encode(), salt=b"streamcolor session", n=2**14, r=8, p=1)
        object.__setattr__(self, "cookie", key.hex())

    def is_text(self, given: str) -> bool:
        """Compare in a time that does not tell how much of it is right."""
        return hmac.compare_digest(given.encode(), self.text.encode())

    def admits(self, connection: HTTPConnection) -> bool:
        """Whether a request carries the cookie, HTTP basic with any user name, or the password as a bearer token."""
        scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_text(credentials.strip())
        if scheme.lower() == "basic":
            return self.is_text(_basic_password(credentials))
        return hmac.compare_digest(connection.cookies.get(COOKIE, "").encode(), self.cookie.encode())


@dataclass(frozen=True)
class Guard:
    """Stands before the whole application.

    Without a password only pages that were asked for under a name of this machine are served: a foreign site whose
    name is made to lead here (DNS rebinding) gets nothing.
    """

    app: ASGIApp
    password: Password | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(HTTPConnection(scope))
        if scope["type"] == "websocket" and refusal:
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (refusal or self.app)(scope, receive, send_strictly)

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        path, host = connection.scope["path"], connection.headers.get("host", "")
        if path in HEALTH:
            return None
        if not host or connection.headers.get("origin", f"//{host}").partition("//")[2] != host:
            return PlainTextResponse("no other site may use this one", 403)
        if self.password is None:
            text = f"{host[:80]} is no name of this machine: without a password, use localhost"
            return None if is_local(_PORT.sub("", host)) else PlainTextResponse(text, 403)
        if path in _PUBLIC or self.password.admits(connection):
            return None
        if path == "/" and "text/html" in connection.headers.get("accept", ""):
            return RedirectResponse("login", 303)
        # "Basic" would make browsers ask with a dialog of their own, in the middle of the page.
        return PlainTextResponse("a password is needed", 401, {"WWW-Authenticate": 'Bearer realm="streamcolor"'})


def _basic_password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials).decode().partition(":")[2]
    except ValueError:
        return ""
