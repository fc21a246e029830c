"""YAML as people mean it: words stay words, no key twice, a line for every value, secrets from outside."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import yaml

from streamcolor.errors import ConfigError
from streamcolor.urls import keep_secret

Key: TypeAlias = tuple[str | int, ...]  # the way to a value: ("cameras", "gate", "outputs", 0)

_DEEPEST = 20  # an alias may contain itself
_SECRET = re.compile(r"(\$?)\$\{(file:)?([^{}]*)\}")


@dataclass
class Document:
    """What a file says, and where it says so."""

    path: Path
    content: object = None
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[tuple[Key, str]] = field(default_factory=list)

    def describe(self, key: Key, text: str) -> str:
        """Say what is wrong with a value as a compiler would: file:line: key: text."""
        return ": ".join(filter(None, (f"{self.path}:{self.line(key)}", dotted(key), text)))

    def line(self, key: Key) -> int:
        """Return the line of a value, or of the nearest one around it."""
        return next((self.lines[key[:end]] for end in range(len(key), -1, -1) if key[:end] in self.lines), 1)


def read(path: Path, environ: Mapping[str, str]) -> Document:
    """Read a YAML file. Raises ConfigError if it is none; what is wrong with single values is in `problems`.

    Only true, false, null and decimal numbers are more than words, as in YAML 1.2: off, no, 010 and 12:30 stay what was
    written. Keys are always words. `${NAME}` stands for a variable of `environ`, `${file:PATH}` for the content of a
    file (beside this one, unless the path is absolute), `$${` for `${`; within an address they are percent-encoded.
    """
    document = Document(path)
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        document.content = None if node is None else _Reader(document, loader, environ).value(node, ())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"cannot read {path}: {reason}") from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise ConfigError(f"{place}: not YAML: {problem or 'it holds a character that no text has'}") from error
    return document


def dotted(key: Key) -> str:
    """Write a key path as people do: cameras.gate.outputs[0]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).removeprefix(".")


class _Loader(yaml.SafeLoader):
    """A loader to which only what looks like true, false, null or a decimal number is not a string."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # PyYAML's own way: a table of the class


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


@dataclass
class _Reader:
    document: Document
    loader: _Loader
    environ: Mapping[str, str]

    def value(self, node: yaml.Node, key: Key) -> object:
        """Turn a node into a value, and note the lines and problems of everything in it."""
        self.document.lines.setdefault(key, node.start_mark.line + 1)
        if len(key) > _DEEPEST:
            raise ConfigError(f"{self.document.path}:{self.document.line(key)}: more than {_DEEPEST} levels deep")
        if node.tag not in self.loader.yaml_constructors:
            self.loader.construct_undefined(node)  # raises, as for single values below
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, key))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*key, number)) for number, item in enumerate(node.value)]
        content: Any = self.loader.construct_object(node)
        return self._revealed(content, key) if isinstance(content, str) else content

    def _pairs(self, node: yaml.MappingNode, key: Key) -> Iterator[tuple[str, object]]:
        names = [str(name.value) for name, _ in node.value]
        for number, (name, _) in enumerate(node.value):
            if names[number] in names[:number]:
                line = name.start_mark.line + 1
                self.document.problems.append(((*key, names[number]), f"is there twice, again in line {line}"))
        self.loader.flatten_mapping(node)  # what << brings stands before what is written here, which wins
        for name, item in node.value:
            self.document.lines.setdefault((*key, str(name.value)), name.start_mark.line + 1)
            yield str(name.value), self.value(item, (*key, str(name.value)))

    def _revealed(self, text: str, key: Key) -> str:
        """Put secrets in their places."""

        def reveal(match: re.Match[str]) -> str:
            escaped, file, name = match.groups()
            if escaped:
                return match[0][1:]
            secret = self._from_file(name, key) if file else self._from_environment(name, key)
            inside = quote(secret, safe="") if "://" in text[: match.start()] else secret
            if "://" not in secret:
                keep_secret(secret)
                keep_secret(inside)
            return inside

        return _SECRET.sub(reveal, text)

    def _from_environment(self, name: str, key: Key) -> str:
        if name not in self.environ:
            self.document.problems.append((key, f"${{{name}}} is not set in the environment"))
        return self.environ.get(name, "")

    def _from_file(self, name: str, key: Key) -> str:
        try:
            return (self.document.path.parent / name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            self.document.problems.append((key, f"cannot read the secret in {name}: {reason}"))
            return ""
