"""The rules of the house, as tests. The floors themselves are import-linter's."""

import ast
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import streamcolor

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "streamcolor"
MODULES = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(text) for name, text in MODULES.items()}

BROAD = {"Exception", "BaseException"}
each_module = pytest.mark.parametrize("name", MODULES)


def lines(text):
    return len(text.splitlines())


def nodes(tree, *kinds):
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def imported(tree):
    """The top-level names of everything that a module imports, also for types only."""
    names = {alias.name for node in nodes(tree, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes(tree, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def repository_files():
    """What git knows; an unpacked archive has no git, but also nothing that should not be there."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def code_lines(text):
    """How many lines hold code: explaining it, and room to read it, cost nothing."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in quiet]
    found = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in nodes(ast.parse(text), ast.Module, ast.ClassDef, ast.FunctionDef):
        if ast.get_docstring(node):
            found -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(found)


class TestBudgets:
    def test_the_package_stays_small(self):
        assert sum(map(code_lines, MODULES.values())) <= 8600

    @each_module
    def test_no_module_is_long(self, name):
        assert lines(MODULES[name]) <= 300

    def test_functions_are_short(self):
        functions = [node for tree in TREES.values() for node in nodes(tree, ast.FunctionDef)]
        lengths = sorted(node.end_lineno - node.lineno + 1 for node in functions)
        assert lengths[len(lengths) * 9 // 10] < 30

    def test_tests_are_at_least_as_long_as_the_code(self):
        tests = sum(lines(path.read_text()) for path in (ROOT / "tests").rglob("*.py"))
        assert tests >= sum(map(lines, MODULES.values()))


class TestHabits:
    @each_module
    def test_every_module_says_in_a_sentence_what_it_is_for(self, name):
        first = (ast.get_docstring(TREES[name]) or "").split("\n\n")[0]
        assert re.search(r"[.:?]$", first), f"{name}: {first!r}"

    def test_only_the_thread_boundary_catches_everything(self):
        broad = [
            name
            for name, tree in TREES.items()
            for handler in nodes(tree, ast.ExceptHandler)
            if handler.type is None or {node.id for node in nodes(handler.type, ast.Name)} & BROAD
        ]
        assert broad == ["worker.py"]

    def test_only_the_edges_know_ffmpeg(self):
        users = {name for name, tree in TREES.items() if "av" in imported(tree)}
        assert {name for name in users if not name.startswith(("sources/", "sinks/"))} <= {"frames.py"}

    def test_frames_know_ffmpeg_only_as_a_type(self):
        code = "import sys, streamcolor.frames; sys.exit('av' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

    def test_locks_are_only_where_queues_are(self):
        locks = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"}
        users = {name for name, tree in TREES.items() if {node.attr for node in nodes(tree, ast.Attribute)} & locks}
        assert users == {"channel.py"}

    def test_the_engine_locks_nothing_of_its_own(self):
        assert not [name for name in ("engine.py", "feed.py", "session.py", "worker.py") if "acquire" in MODULES[name]]

    @each_module
    def test_nothing_is_printed_where_output_may_be_a_video(self, name):
        prints = [node for node in nodes(TREES[name], ast.Call) if getattr(node.func, "id", "") == "print"]
        assert all(any(keyword.arg == "file" for keyword in call.keywords) for call in prints)

    @each_module
    def test_no_name_is_a_drawer(self, name):
        classes = [node.name for node in nodes(TREES[name], ast.ClassDef)]
        assert not [name for name in classes if name.endswith(("Manager", "Helper", "Util", "Utils"))]


class TestPublicNames:
    def test_they_are_pinned(self):
        assert streamcolor.__all__ == [
            "BackendError",
            "ConfigError",
            "Engine",
            "Feed",
            "Frame",
            "Report",
            "SinkError",
            "SourceDenied",
            "SourceError",
            "SourceLost",
            "StreamcolorError",
            "__version__",
            "colorize",
            "load_model",
        ]
        assert dir(streamcolor) == streamcolor.__all__

    @pytest.mark.parametrize("name", streamcolor.__all__)
    def test_each_is_there(self, name):
        assert getattr(streamcolor, name) is not None

    def test_no_other_is_there(self):
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            streamcolor.nonsense  # noqa: B018

    def test_importing_the_package_loads_nothing_heavy(self):
        code = (
            "import sys, streamcolor, streamcolor.cli\n"
            "heavy = {'numpy', 'cv2', 'av', 'torch', 'openvino', 'onnxruntime', 'pydantic'}\n"
            "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_errors_are_one_tree_drawn_in_their_module(self):
        classes = nodes(TREES["errors.py"], ast.ClassDef)
        drawing = ast.get_docstring(TREES["errors.py"])
        assert all(node.name in drawing for node in classes)
        assert all(issubclass(getattr(streamcolor, node.name), streamcolor.StreamcolorError) for node in classes)


class TestRepository:
    def test_no_path_of_somebodys_machine(self):
        words = ["/home/", "/Users/", "/work/", "/opt/sc", "C:\\\\Users"]
        found = [
            f"{path.relative_to(ROOT)}: {word}"
            for path in repository_files()
            if path.suffix in {".py", ".md", ".toml", ".yaml", ".json", ".txt", ""} and path != Path(__file__)
            for word in words
            if word in path.read_text(errors="replace")
        ]
        assert not found

    def test_no_large_file(self):
        large = {str(path.relative_to(ROOT)) for path in repository_files() if path.stat().st_size > 2_000_000}
        assert not {name for name in large if not name.startswith("streamcolor/models/")}

    def test_the_networks_keep_the_wheel_under_20_megabytes(self):
        assert sum(path.stat().st_size for path in PACKAGE.rglob("*") if path.is_file()) < 20_000_000

    def test_continuous_integration_runs_the_readmes_own_test_command(self):
        blocks = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
        assert "pytest" in blocks[1]
        assert "constraints.txt" in blocks[1]
        assert "second ```bash block" in (ROOT / ".ci" / "run").read_text()
        assert os.access(ROOT / ".ci" / "run", os.X_OK)
