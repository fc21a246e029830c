"""What lies in contrib/ calls the program as it is."""

import ctypes
import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer

from streamcolor.cli import app


@pytest.fixture
def contrib(request):
    return request.config.rootpath / "contrib"


def parses(words):
    """Let the command line read its words, without doing anything."""
    command = typer.main.get_command(app)
    name, *rest = words
    command.commands[name].make_context(name, rest)
    return True


def test_the_unit_starts_the_program(contrib):
    unit = (contrib / "streamcolor.service").read_text()
    program, *words = shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1])
    assert program.endswith("/bin/streamcolor")
    assert parses(words)


def test_every_line_of_the_unit_is_one(contrib):
    for line in (contrib / "streamcolor.service").read_text().splitlines():
        assert re.fullmatch(r"(#.*|\[(Unit|Service|Install)\]|[A-Z]\w+=.*|)", line), line


def test_the_container_starts_the_program_where_its_health_is_asked(contrib):
    text = (contrib / "Containerfile").read_text()
    words = json.loads(re.search(r"^CMD (.*)$", text, re.MULTILINE)[1])
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1]) == ["streamcolor"]
    assert parses(words)
    port = words[words.index("--port") + 1]
    assert f"127.0.0.1:{port}/healthz" in text
    assert f"EXPOSE {port}" in text


FREED = """
import threading
from soak import heap_in_use
def work():
    heap_in_use()
    kept = [bytes(size) for size in range(500, 980, 16) for _ in range(7)]
    before = heap_in_use()
    kept.clear()
    print(before - heap_in_use())
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc")
@pytest.mark.parametrize("name", ["streamcolor.service", "Containerfile"])
def test_threads_of_the_service_keep_nothing_that_they_freed(contrib, name):
    [tunables] = re.findall(r"GLIBC_TUNABLES=(\S+)", (contrib / name).read_text())
    environment = os.environ | {"PYTHONPATH": str(contrib.parent / "benchmarks")}

    def freed(**more):
        command = [sys.executable, "-c", FREED]
        done = subprocess.run(command, env=environment | more, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert freed(GLIBC_TUNABLES="") < 50_000, "there is nothing to turn off"
    assert freed(GLIBC_TUNABLES=tunables) > 100_000
