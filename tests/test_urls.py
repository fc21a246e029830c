"""No password reaches a message."""

import pytest

from streamcolor import urls
from streamcolor.urls import hidden, is_local, shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://admin:secret@10.0.0.5:554/live", "rtsp://***@10.0.0.5:554/live"),
        ("rtsp://admin:se@cr@et@camera/live", "rtsp://***@camera/live"),
        ("rtsp://admin:sec/ret@camera/live", "rtsp://***@camera/live"),
        *(
            (f"rtsp://admin:{word}secret@camera/live", "rtsp://***@camera/live")
            for word in ("12/", "12#", "12?", "12:")
        ),
        ("rtsp://token@camera/live", "rtsp://***@camera/live"),
        ("rtsp://admin:my secret@camera/live", "rtsp://***@camera/live"),
        (
            "http://cam/videostream.cgi?loginuse=me&loginpas=secret",
            "http://cam/videostream.cgi?loginuse=me&loginpas=***",
        ),
        ("http://cam/live?usr=me&pw=secret", "http://cam/live?usr=me&pw=***"),
        ("rtsp://cam/user=admin_password=secret_stream=0.sdp", "rtsp://cam/user=admin_password=***"),
        ("http://cam/video?user=me&password=secret&x=1", "http://cam/video?user=me&password=***&x=1"),
        ("https://cdn/live.m3u8?access_token=abc.def", "https://cdn/live.m3u8?access_token=***"),
        ("https://cdn/a.mp4?X-Amz-Signature=ff&X-Amz-Credential=AK%2F1", None),
        ("srt://host:9000?passphrase=secretsecret&mode=caller", "srt://host:9000?passphrase=***&mode=caller"),
    ],
)
def test_secrets_in_an_address_are_masked(url, expected):
    masked = shown(url)
    assert "secret" not in masked
    if expected:
        assert masked == expected
    else:
        assert "ff" not in masked
        assert "AK" not in masked


@pytest.mark.parametrize(
    "url",
    [
        "film.mkv",
        "/films/me@home/film.mkv",
        "C:\\films\\a.mp4",
        "http://host/@user/film.mp4",
        "http://host:8080/user/film.mp4",
        "rtsp://host/live?n=1",
    ],
)
def test_an_address_without_secrets_is_shown_as_it_is(url):
    assert shown(url) == url


def test_a_message_that_quotes_the_address_loses_the_password():
    url = "rtsp://admin:hunter2@camera/live?sig=abcd"
    text = f"[Errno 111] Connection refused: '{url}'; tcp://admin:hunter2@camera:554 said hunter2, abcd"
    assert "hunter2" not in hidden(text, url)
    assert "abcd" not in hidden(text, url)
    assert "Connection refused" in hidden(text, url)


def test_an_escaped_password_is_masked_unescaped_too():
    assert "p@ss" not in hidden("login with p@ss failed", "rtsp://me:p%40ss@camera/")


def test_very_short_passwords_do_not_mask_half_a_message():
    assert hidden("a camera at a place", "rtsp://u:a@camera/") == "a camera at a place"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.org", "")),
    ],
)
def test_what_leads_to_this_machine_only(host, local):
    assert is_local(host) is local


class TestKeptSecrets:
    @pytest.fixture(autouse=True)
    def _nothing_else_is_kept(self, monkeypatch):
        monkeypatch.setattr(urls, "_kept", set())

    def test_they_are_masked_wherever_they_stand(self):
        urls.keep_secret("q7Xk")
        urls.keep_secret("q7Xk9z")
        assert shown("rtsp://cam:7447/q7Xk9z/main") == "rtsp://cam:7447/***/main"
        assert hidden("q7Xk: no such stream", "rtsp://cam/q7Xk") == "***: no such stream"

    def test_very_short_ones_are_not(self):
        urls.keep_secret("554")
        assert shown("rtsp://cam:554/") == "rtsp://cam:554/"
