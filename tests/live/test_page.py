"""The page in a real browser: two cameras move in color, come back by themselves, and compare with gray."""

import os
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera import Camera
from playwright.sync_api import Error, sync_playwright
from serving import Server, serving, until, write_cameras

PASSWORD = "a page's p@ssword"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
SHOTS = "STREAMCOLOR_ARTIFACTS"  # the folder where pictures of the page are kept

# The mean color of a video's picture, and how colorful it is: the mean distance between the channels.
LOOK = """name => {
    const video = document.querySelector(`[data-name="${name}"] video`);
    if (!video.videoWidth) return null;
    const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 36});
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, 64, 36);
    const pixels = context.getImageData(0, 0, 64, 36).data;
    const luma = [];
    let color = 0;
    for (let i = 0; i < pixels.length; i += 4) {
        const [r, g, b] = pixels.slice(i, i + 3);
        color += Math.max(r, g, b) - Math.min(r, g, b);
        luma.push(0.2126 * r + 0.7152 * g + 0.0722 * b);
    }
    const buffered = video.buffered;
    const late = buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : null;
    return {time: video.currentTime, color: color / luma.length, luma, late};
}"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if program is None:
        assert os.environ.get("STREAMCOLOR_REQUIRE_BROWSER") != "1", "chromium is required and not installed"
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page that must not complain about anything."""
    context = browser.new_context(viewport={"width": 1100, "height": 760})
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if "Content Security" in message.text else None)
    yield page
    context.close()
    assert page.errors == []


@pytest.fixture
def cameras(larger_clip, clip):
    with Camera(larger_clip, user="u", password="p") as gate, Camera(clip) as yard:
        yield gate, yard


@pytest.fixture
def shots(tmp_path):
    folder = Path(os.environ.get(SHOTS) or tmp_path / "shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def cameras_file(tmp_path, cameras):
    """Much color: what a small network sees in a test picture is pale."""
    gate, yard = cameras
    bold = {"saturation": 4, "vividness": 1}
    return write_cameras(tmp_path / "cameras.yaml", gate={"url": gate.url(), **bold}, yard={"url": yard.url(), **bold})


@pytest.fixture
def password_file(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return file


def log_in(page, server):
    page.goto(server.address)
    page.fill("input[name=password]", PASSWORD)
    page.click("button")
    page.wait_for_selector(".tile")


def moves_in_color(page, *names):
    """Wait until each camera's picture changes, in color, near the live edge."""
    before = {}

    def does(name):
        now = page.evaluate(LOOK, name)
        if now is None:
            return False
        old = before.setdefault(name, now)
        moved = np.abs(np.subtract(now["luma"], old["luma"])).mean()
        return moved > 1 and now["time"] > old["time"] and now["color"] > 5 and abs(now["late"]) < 1.5

    return all(until(lambda name=name: does(name)) for name in names)


def state(page, name):
    return page.inner_text(f"[data-name={name}] .state")


def test_two_cameras_move_in_color_and_come_back(page, cameras, cameras_file, password_file, shots):
    gate, _ = cameras
    with serving(cameras_file, "--password-file", str(password_file)) as server:
        log_in(page, server)
        assert moves_in_color(page, "gate", "yard"), server.log
        assert until(lambda: "ms" in page.inner_text("[data-name=gate] .delay"))
        page.screenshot(path=shots / "page-grid.png")

        gate.vanish()
        assert until(lambda: state(page, "gate") == "lost")
        assert "no signal" in page.inner_text("[data-name=gate] .notice")
        assert moves_in_color(page, "yard")
        page.wait_for_timeout(1500)
        page.screenshot(path=shots / "page-lost.png")
        gate.appear()
        assert until(lambda: state(page, "gate") == "live")
        assert int(page.inner_text("[data-name=gate] .reconnects")) >= 1
        assert moves_in_color(page, "gate", "yard"), server.log


def test_a_picture_of_another_size_is_followed(page, cameras, cameras_file, clip):
    gate, _ = cameras
    width = "document.querySelector('[data-name=gate] video').videoWidth"
    with serving(cameras_file) as server:
        page.goto(server.address)
        page.wait_for_selector(".tile")
        assert moves_in_color(page, "gate")
        assert page.evaluate(width) == 320
        gate.switch(clip)
        assert until(lambda: page.evaluate(width) == 160), server.log
        assert moves_in_color(page, "gate", "yard"), server.log


def test_a_server_that_starts_again_is_found_again(page, cameras_file, password_file):
    with serving(cameras_file, "--password-file", str(password_file)) as server:
        log_in(page, server)
        assert moves_in_color(page, "gate")
        port = server.address.rstrip("/").rpartition(":")[2]
        server.end(signal.SIGTERM)
        assert until(lambda: "does not answer" in page.inner_text("#summary"))
        assert [state(page, name) for name in ("gate", "yard")] == ["unknown", "unknown"], "no old picture as live"
        assert "this picture is old" in page.inner_text("[data-name=gate] .notice")
    again = Server(cameras_file, "--port", port, "--password-file", str(password_file))
    try:
        assert until(lambda: "of 2 live" in page.inner_text("#summary")), again.log
        assert moves_in_color(page, "gate", "yard"), again.log
        assert until(lambda: state(page, "gate") == "live")
    finally:
        again.process.kill()
        again.process.wait()


def test_a_picture_that_stands_still_is_not_passed_as_live(page, cameras_file, password_file):
    with serving(cameras_file, "--password-file", str(password_file)) as server:
        page.route_web_socket("**/video/gate", lambda _: None)  # it is opened, and nothing comes
        log_in(page, server)
        assert moves_in_color(page, "yard"), server.log
        assert until(lambda: state(page, "gate") == "no video")
        assert server.feeds(PASSWORD)["gate"]["state"] == "live", "the camera is not what is wrong"
        assert state(page, "yard") == "live"


def test_one_camera_large_beside_its_gray_self(page, cameras_file, password_file, shots):
    with serving(cameras_file, "--password-file", str(password_file)) as server:
        log_in(page, server)
        assert moves_in_color(page, "gate", "yard")
        page.click("[data-name=gate] .open")
        page.locator("[data-name=gate] .split").fill("30")
        assert moves_in_color(page, "gate"), server.log
        picture = cv2.imdecode(
            np.frombuffer(page.screenshot(path=shots / "page-large.png"), np.uint8), cv2.IMREAD_COLOR
        )
        box = page.locator("[data-name=gate] .picture").bounding_box()
        left, top, width, height = (round(box[side]) for side in ("x", "y", "width", "height"))
        middle = picture[top + height // 4 : top + height // 2]
        colorfulness = np.ptp(middle.astype(int), axis=2).mean(axis=0)
        edge = left + round(width * 0.3)
        assert colorfulness[left + 5 : edge - 30].max() < 3, "gray"
        assert colorfulness[edge + 30 : left + width - 5].mean() > 5, "color"
        assert page.evaluate("document.querySelector('[data-name=yard] video').src") == "", (
            "what is hidden is not fetched"
        )
        assert until(lambda: server.feeds(PASSWORD)["yard"]["viewers"] == 0)

        page.set_viewport_size({"width": 390, "height": 780})
        page.screenshot(path=shots / "page-phone.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing to scroll sideways"
        page.keyboard.press("Escape")
        assert moves_in_color(page, "gate", "yard")


def test_a_video_that_the_browser_cannot_show_is_said_to_be_so(page, cameras, tmp_path):
    file = write_cameras(tmp_path / "cameras.yaml", yard={"url": cameras[1].url(), "codec": "libx265"})
    with serving(file) as server:
        page.goto(server.address)
        page.wait_for_selector(".tile")
        assert until(lambda: 'cannot show video/mp4; codecs="' in page.inner_text("[data-name=yard] .notice")), (
            server.log
        )


def test_without_the_password_there_is_nothing_to_see(page, cameras_file, password_file):
    with serving(cameras_file, "--password-file", str(password_file)) as server:
        page.goto(server.address + "static/page.js")
        assert "a password is needed" in page.inner_text("body")
        page.goto(server.address)
        with pytest.raises(Error, match=r"isTrusted|Event"):
            page.evaluate(
                "url => new Promise((done, fail) => Object.assign(new WebSocket(url), {onopen: done, onerror: fail}))",
                server.address.replace("http", "ws") + "video/gate",
            )
