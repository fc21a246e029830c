"""Clips that the cameras of these tests show."""

import pytest
from clips import make_clip

GOP = 10  # pictures; at 25 a second a key frame is never more than 0.4 s away
H264 = {"qp": "30", "g": str(GOP)}
HEVC = {"x265-params": f"keyint={GOP}:min-keyint={GOP}:bframes=0:pools=1:log-level=none:qp=30"}


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def clip(clip_folder):
    """What a camera shows at first: 160x96, H.264."""
    return make_clip(clip_folder / "small.mp4", codec="libx264", size=(160, 96), frames=50, options=H264)


@pytest.fixture(scope="session")
def larger_clip(clip_folder):
    return make_clip(clip_folder / "larger.mp4", codec="libx264", size=(320, 192), frames=50, options=H264)


@pytest.fixture(scope="session")
def hevc_clip(clip_folder):
    return make_clip(clip_folder / "hevc.mp4", codec="libx265", size=(160, 96), frames=50, options=HEVC)
