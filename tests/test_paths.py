"""What the names of input and output mean, and which do not go together."""

import os

import pytest

from streamcolor.errors import ConfigError, SourceError
from streamcolor.paths import (
    check_paths,
    check_report,
    is_live,
    local_path,
    plain,
    reads_pictures,
    writes_folder,
    writes_picture,
)


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mkv"
    path.write_bytes(b"film")
    return path


def hard_link(film):
    link = film.with_name("hard.mkv")
    os.link(film, link)
    return str(link)


def symbolic_link(film):
    link = film.with_name("soft.mkv")
    link.symlink_to(film)
    return str(link)


def detour(film):
    return str(film.parent / "." / ".." / film.parent.name / film.name)


def as_url(film):
    return f"file:{film}"


def as_long_url(film):
    return f"file://{film}"


@pytest.mark.parametrize("alias", [str, hard_link, symbolic_link, detour, as_url, as_long_url])
def test_the_input_is_never_the_output_by_whatever_name(film, alias):
    other = alias(film)
    for source, target in ((str(film), other), (other, str(film))):
        with pytest.raises(ConfigError, match="name another output"):
            check_paths(source, target)
    assert film.read_bytes() == b"film"


def test_a_folder_is_not_colored_into_itself(tmp_path):
    with pytest.raises(ConfigError, match="name another output"):
        check_paths(str(tmp_path), f"{tmp_path}/")


def test_different_files_go_together(film):
    check_paths(str(film), str(film.with_name("out.mkv")))
    check_paths(str(film), "-")
    check_paths("rtsp://gate/1", str(film))


def test_a_missing_input_is_told_at_once(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        check_paths(str(tmp_path / "none.mkv"), "-")


@pytest.mark.parametrize("report", ["film.mkv", "out.mkv", "none/report.json", "."])
def test_a_report_does_not_replace_a_film(film, report):
    with pytest.raises(ConfigError, match="report"):
        check_report(str(film.parent / report), str(film), str(film.with_name("out.mkv")))


def test_a_report_beside_the_output_is_fine(film):
    check_report(str(film.with_name("report.json")), str(film), "-")


@pytest.mark.parametrize("target", ["rtsp://guard:s3cret@gate/1", "pipe:1", "https://example.org/out.mp4?token=s3cret"])
def test_an_address_is_no_output(film, target):
    with pytest.raises(ConfigError, match="is an address: name a file") as caught:
        check_paths(str(film), target)
    assert "s3cret" not in str(caught.value)


def test_no_message_tells_a_password(tmp_path):
    with pytest.raises(ConfigError, match="gate/1 is a video") as caught:
        check_paths("rtsp://guard:s3cret@gate/1", str(tmp_path / "out.png"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mkv", ".png", "/"])
def test_a_name_that_no_file_can_have_is_told_in_a_line(film, suffix):
    long = "a" * 300 + suffix
    with pytest.raises(ConfigError, match=r"cannot look at a*.*: File name too long"):
        check_report(long, "in.mkv", "out.mkv")
    for source, target in ((long, "out.mkv"), (str(film), long)):
        with pytest.raises(ConfigError, match=r"cannot look at a*.*: File name too long"):
            check_paths(source, target)


def test_an_address_may_be_longer_than_a_path():
    assert local_path("https://example.org/" + "a/" * 5000) is None


def test_many_pictures_do_not_fit_into_one(film, tmp_path):
    with pytest.raises(ConfigError, match="is a video: name a folder"):
        check_paths(str(film), str(tmp_path / "out.png"))
    with pytest.raises(ConfigError, match="is a video: name a folder"):
        check_paths("rtsp://gate/1", str(tmp_path / "out.png"))
    with pytest.raises(ConfigError, match="is a folder: name a folder"):
        check_paths(str(tmp_path), str(tmp_path / "out.png"))


def test_one_picture_fits_into_one(tmp_path):
    scan = tmp_path / "scan.jpg"
    scan.touch()
    check_paths(str(scan), str(tmp_path / "out.png"))


@pytest.mark.parametrize("name", ["rtsp://gate/1", "https://example.org/a.mp4", "-", "pipe:0", "srt://host:99"])
def test_an_address_is_not_a_path(name):
    assert local_path(name) is None
    assert not reads_pictures(name)
    assert not writes_picture(name)
    assert not writes_folder(name)


@pytest.mark.parametrize("name", ["film.mkv", "a/b.mp4", "/film", "C:film.mkv", "12:30 gate.mkv"])
def test_a_path_is_a_path(name):
    assert str(local_path(name)) == name


def test_an_existing_file_whose_name_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate:1.mkv").touch()
    assert local_path("gate:1.mkv").exists()


def test_kinds_are_told_by_name_and_by_what_is_there(tmp_path):
    assert reads_pictures(str(tmp_path))
    assert reads_pictures("scan.PNG")
    assert not reads_pictures("film.gif")
    assert writes_picture("scan.PNG")
    assert not writes_picture("film.mkv")
    assert writes_folder(str(tmp_path))
    assert writes_folder("not there yet/")
    assert not writes_folder("not there yet")


def test_a_file_may_be_named_as_ffmpeg_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert plain("file:scan.png") == plain("file://scan.png") == "scan.png"
    (tmp_path / "file:scan.png").touch()
    assert plain("file:scan.png") == "file:scan.png"


@pytest.mark.parametrize(
    "name",
    [
        "rtsp://gate/1",
        "RTSPS://me:pw@gate:322/1",
        "rtmp://gate/live/1",
        "udp://239.0.0.1:1234",
        "rtp://0.0.0.0:5004",
        "srt://gate:9000?mode=caller",
        "http://gate/mjpg/video.mjpg",
        "http://gate/axis-cgi/mjpg/video.cgi?resolution=640x480",
        "http://gate:8080/?action=stream",
        "http://gate/video",
        "http://gate/videostream.cgi?user=me&pwd=secret",
        "/dev/video0",
        "-",
    ],
)
def test_a_camera_is_recognized_by_its_address(name):
    assert is_live(name)


@pytest.mark.parametrize(
    "name",
    ["film.mkv", "/films/rtsp.mkv", "https://example.org/film.mp4", "http://example.org/video.mp4", "pipe:0", "file:-"],
)
def test_a_film_is_not_taken_for_a_camera(name):
    assert not is_live(name)
