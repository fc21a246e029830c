"""What lies in contrib/ calls the program as it is."""

import json
import re
import shlex

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
