"""The page, the API and the metrics, on a station without cameras."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from stations import MIME, FakeStation, view

from streamcolor.metrics import BOUNDS, State
from streamcolor.web import FeedView
from streamcolor.web.app import STATIC, described, make_app
from streamcolor.web.guard import COOKIE, Password
from streamcolor.web.prometheus import Feeds
from streamcolor.web.video import Viewers


@pytest.fixture
def station():
    return FakeStation("gate", "yard")


@pytest.fixture
def client(station):
    return TestClient(make_app(station, password=None), base_url="http://localhost:8080")


class TestPage:
    def test_it_brings_everything_with_it(self, client):
        page = client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert links
        for link in (each for each in links if not each.startswith("data:")):
            assert client.get(f"/{link}").status_code == 200, link

    def test_scripts_import_what_is_there(self):
        for script in STATIC.glob("*.js"):
            for name in re.findall(r'from "\./([^"]+)"', script.read_text()):
                assert (STATIC / name).is_file()

    def test_nothing_is_inline_which_its_policy_would_forbid(self):
        for page in STATIC.glob("*.html"):
            assert not re.search(r"<style|<script>|\son\w+=|\sstyle=", page.read_text()), page.name

    def test_names_of_cameras_are_never_taken_for_html(self):
        assert not [script.name for script in STATIC.glob("*.js") if "innerHTML" in script.read_text()]

    @pytest.mark.parametrize(
        "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/"]
    )
    def test_no_way_leads_out_of_its_folder(self, client, path):
        assert client.get(path).status_code == 404

    def test_health(self, client, station):
        assert (client.get("/healthz").status_code, client.get("/readyz").status_code) == (200, 200)
        station.is_ready = False
        assert (client.get("/healthz").status_code, client.get("/readyz").status_code) == (200, 503)


class TestLogin:
    @pytest.fixture
    def client(self, station):
        app = make_app(station, password=Password("secret & more"))
        return TestClient(app, base_url="https://cams.example.org", follow_redirects=False)

    def test_the_password_opens_the_page_for_a_month(self, client):
        assert client.get("/api/feeds").status_code == 401
        answer = client.post("/login", data={"password": "secret & more"})
        assert (answer.status_code, answer.headers["location"]) == (303, ".")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "Max-Age=2592000", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
        assert client.get("/api/feeds").status_code == 200

    def test_a_wrong_one_does_not_and_says_so(self, client):
        assert "not the password" in client.get("/login").text
        assert '<p role="alert" hidden>' in client.get("/login").text
        answer = client.post("/login", data={"password": "wrong"})
        assert answer.status_code == 401
        assert '<p role="alert">' in answer.text
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize("body", [b"", b"password", b"\xff\xfe", b"password=&password=x"])
    def test_nonsense_is_wrong(self, client, body):
        assert client.post("/login", content=body).status_code == 401

    def test_a_body_without_end_is_cut_off(self, client):
        assert client.post("/login", content=b"x" * 100_000).status_code == 413


class TestApi:
    def test_all_cameras_with_what_they_do(self, client):
        answer = client.get("/api/feeds").json()
        assert [feed["name"] for feed in answer["feeds"]] == ["gate", "yard"]
        assert answer["bounds"] == list(BOUNDS)
        feed = client.get("/api/feeds/gate").json()
        assert (feed["state"], feed["fps"], feed["dropped"], feed["reconnects"]) == ("live", 25.0, 3, 1)
        assert sum(feed["delays"]) == 4

    def test_times_are_told_as_ages(self):
        feed = described(view("gate"), now=100.5)
        assert (feed["age"], feed["since"]) == (0.5, 10.5)
        assert described(view("gate", last_frame=None), now=100.5)["age"] is None

    def test_a_camera_that_is_switched_off_has_no_numbers(self):
        feed = described(FeedView(name="gate", settings={}, counts=None), now=0)
        assert feed["state"] == "off"
        assert "fps" not in feed

    def test_a_camera_is_added(self, client, station):
        answer = client.post("/api/feeds", json={"name": "barn", "url": "rtsp://cam/1", "crf": 20})
        assert (answer.status_code, answer.json()["name"]) == (201, "barn")
        assert station.changes == [("barn", {"url": "rtsp://cam/1", "crf": 20})]

    def test_changed(self, client, station):
        assert client.put("/api/feeds/gate", json={"url": "rtsp://cam/2"}).json()["state"] == "live"
        assert station.changes == [("gate", {"url": "rtsp://cam/2"})]

    def test_and_removed(self, client, station):
        assert client.delete("/api/feeds/gate").status_code == 204
        assert list(station.views) == ["yard"]
        assert client.delete("/api/feeds/gate").status_code == 404

    @pytest.mark.parametrize(
        ("request_", "code"),
        [
            (("POST", "/api/feeds", '{"name": "gate", "url": "x"}'), 409),
            (("POST", "/api/feeds", '{"url": "x"}'), 400),
            (("POST", "/api/feeds", '{"name": 7, "url": "x"}'), 400),
            (("POST", "/api/feeds", "[]"), 400),
            (("POST", "/api/feeds", "{"), 400),
            (("POST", "/api/feeds", b"\xff"), 400),
            (("PUT", "/api/feeds/gate", "{}"), 400),
            (("PUT", "/api/feeds/gate", " " * 70_000), 413),
            (("GET", "/api/feeds/none", ""), 404),
            (("PATCH", "/api/feeds/gate", "{}"), 405),
            (("GET", "/api/nothing", ""), 404),
        ],
    )
    def test_a_mistake_changes_nothing(self, client, station, request_, code):
        method, path, body = request_
        assert client.request(method, path, content=body).status_code == code
        assert not station.changes

    def test_all_mistakes_are_told(self, client):
        said = client.put("/api/feeds/gate", json={}).json()["error"]
        assert said == ["cameras.gate.url: is missing", "cameras.gate: second"]


class TestMetrics:
    @pytest.fixture
    def samples(self):
        def samples(path_client):
            text = path_client.get("/metrics").text
            families = list(text_string_to_metric_families(text))
            return {
                (sample.name, *sorted(sample.labels.items())): sample.value
                for family in families
                for sample in family.samples
            }

        return samples

    def test_every_camera_has_every_number(self, client, samples):
        found = samples(client)
        for name in ("gate", "yard"):
            camera = ("camera", name)
            assert found["streamcolor_camera_state", camera, ("state", "live")] == 1
            assert found["streamcolor_camera_state", camera, ("state", "lost")] == 0
            assert found["streamcolor_camera_fps", camera] == 25
            assert found["streamcolor_camera_frames_dropped_total", camera] == 3
            assert found["streamcolor_camera_reconnects_total", camera] == 1
            assert found["streamcolor_camera_busy_seconds_total", camera, ("clock", "cpu"), ("stage", "read")] == 0.25
            assert ("streamcolor_camera_last_frame_age_seconds", camera) in found

    def test_delays_are_a_histogram(self, client, samples):
        found, gate = samples(client), ("camera", "gate")
        bucket = "streamcolor_camera_delay_seconds_bucket"
        assert found[bucket, gate, ("le", "0.01")] == 0
        assert found[bucket, gate, ("le", "0.02")] == 2
        assert found[bucket, gate, ("le", "0.25")] == 3
        assert found[bucket, gate, ("le", "+Inf")] == found["streamcolor_camera_delay_seconds_count", gate] == 4
        assert found["streamcolor_camera_delay_seconds_sum", gate] == pytest.approx(9.23)

    def test_the_age_of_the_last_frame_grows(self, station):
        (age,) = [
            family for family in Feeds(station, clock=lambda: 104.0).collect() if family.name.endswith("age_seconds")
        ]
        assert [sample.value for sample in age.samples] == [4, 4]

    def test_a_camera_that_is_off_or_never_came_has_no_made_up_numbers(self, client, station, samples):
        station.views["gate"] = FeedView(name="gate", settings={}, counts=None)
        station.views["yard"] = view("yard", last_frame=None, state=State.CONNECTING)
        found = samples(client)
        assert found["streamcolor_camera_state", ("camera", "gate"), ("state", "off")] == 1
        assert ("streamcolor_camera_fps", ("camera", "gate")) not in found
        assert ("streamcolor_camera_last_frame_age_seconds", ("camera", "yard")) not in found

    def test_each_is_documented(self, client, request):
        text = (request.config.rootpath / "docs" / "serve.md").read_text()
        names = re.findall(r"^# TYPE streamcolor_camera_(\w+)", client.get("/metrics").text, re.MULTILINE)
        assert len(names) == 10
        assert [name for name in names if not re.search(rf"`{name}[`{{]", text)] == []

    def test_the_program_itself_is_measured(self, client):
        assert "process_resident_memory_bytes" in client.get("/metrics").text


class TestVideo:
    def test_a_viewer_gets_the_kind_then_everything_in_order(self, client, station):
        with client.websocket_connect("ws://localhost/video/gate") as socket:
            assert (socket.receive_text(), socket.receive_bytes(), socket.receive_bytes()) == (
                MIME,
                b"init",
                b"picture",
            )
            station.subscriptions[0].chunks.put(b"next")
            assert socket.receive_bytes() == b"next"
        assert station.subscriptions[0].closed.wait(5), "the viewer has left"

    def test_an_end_tells_the_page_to_come_again(self, client, station):
        with client.websocket_connect("ws://localhost/video/gate") as socket:
            station.subscriptions[0].chunks.put(None)
            for _ in range(3):
                socket.receive()
            assert socket.receive()["code"] == 1012

    def test_what_a_viewer_says_is_not_heard(self, client):
        with client.websocket_connect("ws://localhost/video/gate") as socket:
            socket.send_text("hello")
            socket.send_bytes(b"x" * 1000)
            assert socket.receive_text() == MIME

    def test_an_unknown_camera_is_said_to_be_so(self, client):
        with (
            client.websocket_connect("ws://localhost/video/none") as socket,
            pytest.raises(WebSocketDisconnect) as caught,
        ):
            socket.receive_bytes()
        assert caught.value.code == 4404

    def test_one_viewer_too_many_is_sent_away(self, station):
        app = make_app(station, password=None, viewers=Viewers(station, most=1))
        client = TestClient(app, base_url="http://localhost")
        with (
            client.websocket_connect("ws://localhost/video/gate") as first,
            client.websocket_connect("ws://localhost/video/gate") as second,
        ):
            assert first.receive_text() == MIME
            with pytest.raises(WebSocketDisconnect) as caught:
                second.receive_text()
        assert caught.value.code == 1013
        assert len(station.subscriptions) == 1
        with client.websocket_connect("ws://localhost/video/gate") as third:
            assert third.receive_text() == MIME, "its place is free again"
