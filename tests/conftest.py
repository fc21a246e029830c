"""What the marker `gpu` does, and a cache of the tests' own."""

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_tests(tmp_path_factory):
    """Keep compiled networks where programs that tests start find them, and nobody else."""
    os.environ["STREAMCOLOR_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or os.environ.get("STREAMCOLOR_REQUIRE_GPU") == "1":
        return
    import torch  # noqa: PLC0415  # slow to load, and few tests ask

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU"))
