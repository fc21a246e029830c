"""What the marker `gpu` does, a cache of the tests' own, and pictures to train on."""

import os

import cv2
import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_tests(tmp_path_factory):
    """Keep compiled networks where programs that tests start find them, and nobody else."""
    os.environ["STREAMCOLOR_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of thirty small colored pictures, to be read only."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(30):
        small = rng.integers(0, 256, (4, 4, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(small, (72, 64), interpolation=cv2.INTER_CUBIC))
    return folder


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or os.environ.get("STREAMCOLOR_REQUIRE_GPU") == "1":
        return
    import torch  # noqa: PLC0415  # slow to load, and few tests ask

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU"))
