"""The password, foreign sites, and headers."""

import base64

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from streamcolor.web.guard import COOKIE, HEADERS, Guard, Password

CANARY = "canary-päss:word"


async def application(scope, receive, send):
    """Let everyone in."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    else:
        await PlainTextResponse("inside")(scope, receive, send)


def client(password=None, host="localhost:8080", **headers):
    guard = Guard(application, password and Password(password))
    return TestClient(guard, base_url=f"http://{host}", headers=headers, follow_redirects=False)


def basic(password, user="anyone"):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class TestPassword:
    @pytest.mark.parametrize("path", ["/", "/api/feeds", "/metrics", "/static/page.js", "/nothing", "//", "/healthz/"])
    def test_without_it_everything_is_closed(self, path):
        answer = client(CANARY).get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/login", "/static/style.css"])
    def test_but_health_and_the_way_in(self, path):
        assert client(CANARY).get(path).text == "inside"

    def test_a_browser_is_led_to_the_login(self):
        answer = client(CANARY).get("/", headers={"accept": "text/html,*/*"})
        assert (answer.status_code, answer.headers["location"]) == (303, "login")

    @pytest.mark.parametrize(
        ("authorization", "code"),
        [
            ("Bearer secret", 200),
            ("bearer secret ", 200),
            (basic("secret"), 200),
            (basic("secret", user=""), 200),
            (basic("secre"), 401),
            (basic("secret2"), 401),
            ("Basic !!!", 401),
            ("Basic /w==", 401),
            ("Bearer ", 401),
            ("Digest secret", 401),
            ("", 401),
        ],
    )
    def test_it_is_taken_as_a_token_or_by_http_basic(self, authorization, code):
        assert client("secret").get("/metrics", headers={"authorization": authorization}).status_code == code

    def test_colons_and_foreign_letters_are_part_of_it(self):
        assert client(CANARY).get("/", headers={"authorization": basic(CANARY)}).status_code == 200

    def test_the_cookie_opens_too(self):
        cookie = Password("secret").cookie
        assert client("secret").get("/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 200
        assert client("secret").get("/", headers={"cookie": f"{COOKIE}=secret"}).status_code == 401
        assert client("secret").get("/", headers={"cookie": f"{COOKIE}={cookie[:-1]}é".encode()}).status_code == 401

    def test_the_cookie_survives_a_restart_but_not_another_password(self):
        assert Password("secret").cookie == Password("secret").cookie != Password("other").cookie
        assert "secret" not in Password("secret").cookie

    def test_it_is_not_told(self):
        assert CANARY not in repr(Password(CANARY)) + client(CANARY).get("/").text

    def test_a_socket_without_it_is_refused(self):
        with pytest.raises(WebSocketDisconnect), client("secret").websocket_connect("/video/a"):
            pass
        with client("secret").websocket_connect("/video/a", headers={"authorization": "Bearer secret"}):
            pass


class TestForeignSites:
    @pytest.mark.parametrize(
        "origin", ["http://evil.org", "http://localhost:8081", "http://evil.org/localhost:8080", "null"]
    )
    def test_no_other_site_gets_anything_done(self, origin):
        here = client("secret", authorization="Bearer secret")
        assert here.post("/api/feeds", headers={"origin": origin}).status_code == 403
        with pytest.raises(WebSocketDisconnect), here.websocket_connect("/video/a", headers={"origin": origin}):
            pass

    @pytest.mark.parametrize("host", ["localhost:8080", "cams.example.org", "[::1]:8080"])
    def test_the_page_itself_does(self, host):
        here = client("secret", host, authorization="Bearer secret", origin=f"https://{host}")
        assert here.post("/api/feeds").status_code == 200

    @pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080"])
    def test_without_a_password_this_machine_is_served(self, host):
        assert client(host=host).get("/").text == "inside"

    @pytest.mark.parametrize(
        "host", ["evil.org", "evil.org:8080", "localhost.evil.org", "10.0.0.1", "[::1", "x@localhost"]
    )
    def test_but_no_name_that_only_leads_here(self, host):
        answer = client().get("/", headers={"host": host})
        assert answer.status_code == 403
        assert "is no name of this machine" in answer.text
        assert client().get("/healthz", headers={"host": host}).status_code == 200

    def test_no_foreign_script_may_read_an_answer(self):
        answer = client("secret", authorization="Bearer secret").options(
            "/api/feeds", headers={"origin": "http://localhost:8080", "access-control-request-method": "PUT"}
        )
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/login", "/healthz"])
def test_every_answer_keeps_the_browser_strict(path):
    for answer in (client("secret").get(path), client().get(path), client(host="evil.org").get(path)):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
