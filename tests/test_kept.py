"""What is dear to make is made once; a file that cannot be used costs time and nothing else."""

import logging
import os
from pathlib import Path

import pytest

from streamcolor.backends.kept import MOST, cache_folder, kept, key_of
from streamcolor.errors import BackendError


class Oven:
    """Makes loaves, and counts them."""

    def __init__(self):
        self.made = self.loaded = 0
        self.refuses = False

    def make(self):
        self.made += 1
        return b"a loaf", "a loaf"

    def load(self, content):
        self.loaded += 1
        if self.refuses:
            raise BackendError("it is stale")
        return content.decode()

    def bread(self, path):
        return kept(path, self.make, self.load)


@pytest.fixture
def oven():
    return Oven()


def test_it_is_made_once_and_then_found(oven, tmp_path):
    path = tmp_path / "new" / "folder" / "loaf"
    assert [oven.bread(path) for _ in range(3)] == ["a loaf"] * 3
    assert (oven.made, oven.loaded) == (1, 2)
    assert list(path.parent.iterdir()) == [path]


def test_only_our_own_files_make_room(oven, tmp_path):
    """The folder may be one that holds other things as well."""
    (tmp_path / "folder").mkdir()
    others = [tmp_path / f"{number}.xml" for number in range(2 * MOST)]
    for other in others:
        other.touch()
    for number in range(MOST + 3):
        oven.bread(tmp_path / f"{number}.loaf")
    assert all(other.exists() for other in others)
    assert (tmp_path / "folder").is_dir()
    assert len(list(tmp_path.glob("*.loaf"))) == MOST


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda _: b"", lambda data: data[:33] + b"?" + data[34:]])
def test_what_is_damaged_is_never_loaded_and_made_again(damage, oven, tmp_path, caplog):
    path = tmp_path / "loaf"
    oven.bread(path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert oven.bread(path) == "a loaf"
    assert (oven.made, oven.loaded) == (2, 0)
    assert path.read_bytes() == whole
    assert f"{path} is damaged: it is made again" in caplog.text


def test_what_is_refused_is_made_again_and_said(oven, tmp_path, caplog):
    oven.bread(tmp_path / "loaf")
    oven.refuses = True
    assert oven.bread(tmp_path / "loaf") == "a loaf"
    assert oven.made == 2
    assert f"{tmp_path / 'loaf'}: it is stale: it is made again" in caplog.text


def test_what_cannot_be_made_leaves_nothing(tmp_path):
    def fail():
        raise BackendError("no flour")

    with pytest.raises(BackendError, match="no flour"):
        kept(tmp_path / "loaf", fail, bytes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file/loaf", "file/folder/loaf"])
def test_where_nothing_can_be_written_it_is_made_each_time(place, oven, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    for _ in range(2):
        assert oven.bread(tmp_path / place) == "a loaf"
    assert oven.made == 2
    assert f"cannot keep {tmp_path / place}, it is made again next time: " in caplog.text


def test_what_cannot_be_read_is_made_again(oven, tmp_path, caplog):
    (tmp_path / "loaf").mkdir()  # even root cannot read a folder
    assert oven.bread(tmp_path / "loaf") == "a loaf"
    assert "cannot read" in caplog.text


def test_a_full_disk_leaves_no_part_behind(oven, tmp_path, caplog, monkeypatch):
    def full(_self, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert oven.bread(tmp_path / "loaf") == "a loaf"
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_those_used_last_stay(oven, tmp_path, caplog):
    for age in range(MOST):
        oven.bread(tmp_path / str(age))
        os.utime(tmp_path / str(age), (age, age))
    oven.bread(tmp_path / "0")  # the oldest is used again
    oven.bread(tmp_path / "new")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"new", *map(str, range(MOST))} - {"1"}
    with caplog.at_level(logging.INFO):
        oven.bread(tmp_path / "0")
    assert caplog.text == ""


def test_the_folder_is_the_users_choice(monkeypatch):
    assert cache_folder("bread", {"STREAMCOLOR_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a/bread")
    assert cache_folder("bread", {"XDG_CACHE_HOME": "/b"}) == Path("/b/streamcolor/bread")
    assert cache_folder("bread", {"XDG_CACHE_HOME": ""}) == Path.home() / ".cache/streamcolor/bread"

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert not cache_folder("bread", {}).parent.is_dir()


def test_a_key_is_that_of_the_facts_in_any_order():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
