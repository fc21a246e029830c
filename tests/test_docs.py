"""The documents say what the program does, and take their numbers from committed results."""

import re
import subprocess
import sys

import pytest
import typer

from streamcolor.backends import known_models
from streamcolor.cli import app
from training.config import Settings


@pytest.fixture
def root(request):
    return request.config.rootpath


def commands():
    return typer.main.get_command(app).commands


def test_every_command_and_option_is_documented(root):
    documents = [path.read_text() for path in (root / "docs").glob("*.md")]
    for name, command in commands().items():
        text = "".join(document for document in documents if f"streamcolor {name}" in document)
        assert text, name
        for option in (opt for parameter in command.params for opt in parameter.opts if opt.startswith("-")):
            assert option == "--help" or f"`{option}" in text, f"{name} {option}"


def test_every_setting_of_a_training_run_is_documented(root):
    text = (root / "docs" / "training.md").read_text()
    assert [name for name in Settings.model_fields if f"`{name}`" not in text] == []


def test_figures_are_those_of_the_committed_results(root):
    done = subprocess.run(
        [sys.executable, root / "benchmarks" / "report.py", "--check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_shipped_network_has_a_card(root):
    names = {name.removesuffix("-fp32") for name in known_models()}
    assert names
    for name in names:
        assert (root / "streamcolor" / "models" / f"{name}.md").is_file()


def test_links_between_the_documents_lead_somewhere(root):
    for document in [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("benchmarks/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_readme_gives_the_two_commands_in_order(root):
    run, test = re.findall(r"```bash\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    assert "streamcolor run" in run
    assert "torch" not in run
    assert "pytest" in test
