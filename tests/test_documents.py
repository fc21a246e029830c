"""YAML as people mean it, secrets from outside."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streamcolor import urls
from streamcolor.documents import dotted, read
from streamcolor.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_kept_secrets(monkeypatch):
    monkeypatch.setattr(urls, "_kept", set())


@pytest.fixture
def document(tmp_path):
    def document(text, **environ):
        path = tmp_path / "x.yaml"
        path.write_text(text)
        return read(path, environ)

    return document


class TestWords:
    @pytest.mark.parametrize(
        "word", ["off", "no", "Yes", "on", "y", "010", "12:30", "0x10", "1_000", "2026-11-02", "e1"]
    )
    def test_what_yaml_1_1_would_turn_into_something_else_stays_a_word(self, document, word):
        assert document(f"a: {word}").content == {"a": word}

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *(("true", True), ("False", False), ("~", None), ("null", None), ("", None)),
            *(("-7", -7), ("+3", 3), ("0.5", 0.5), ("2.", 2.0), ("1e3", 1000.0), ("'7'", "7")),
        ],
    )
    def test_plain_values_are_what_they_look_like(self, document, text, value):
        content = document(f"a: {text}").content
        assert content == {"a": value}
        assert type(content["a"]) is type(value)

    def test_keys_are_always_words(self, document):
        assert document("off: 1\n2: 2\nnull: 3").content == {"off": 1, "2": 2, "null": 3}

    @given(st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ))  # fmt: skip
    def test_what_pyyaml_writes_is_read_back(self, tmp_path_factory, content):
        path = tmp_path_factory.mktemp("yaml") / "x.yaml"
        text = yaml.safe_dump(content).replace("${", "$${")
        path.write_text(text, encoding="utf-8")
        assert read(path, {}).content == content


class TestPlaces:
    def test_every_value_has_its_line(self, document):
        found = document("a:\n  b: 1\n  c:\n    - x\n    - y\n")
        assert [found.line(key) for key in [("a",), ("a", "b"), ("a", "c", 1)]] == [1, 2, 5]

    def test_what_is_missing_has_the_line_of_what_is_around_it(self, document):
        assert document("z: 0\na:\n  b: 1\n").line(("a", "none", 3)) == 2
        assert document("").line(("a",)) == 1

    def test_a_problem_is_told_as_compilers_do(self, document):
        assert document("a: 1").describe(("a", "b", 0), "is wrong").endswith("x.yaml:1: a.b[0]: is wrong")
        assert dotted(()) == ""

    def test_a_key_that_is_there_twice_is_a_problem(self, document):
        assert document("a: 1\nb: 2\na: 3").problems == [(("a",), "is there twice, again in line 3")]

    def test_merged_keys_are_overridden_without_a_problem(self, document):
        found = document("base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  b: 3\n")
        assert found.content["mine"] == {"a": 1, "b": 3}
        assert not found.problems


class TestUnreadable:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: [1", r"x.yaml:1: not YAML: expected ',' or '\]'"),
            ("a: b: c", "x.yaml:1: not YAML: mapping values are not allowed here"),
            ("a: !!python/object/apply:os.system [true]", "x.yaml:1: not YAML: could not determine"),
            ("a: !secret gate", "x.yaml:1: not YAML: could not determine a constructor for the tag '!secret'"),
            ("a: &a [*a]", "more than 20 levels deep"),
            ("a: \x00", "not YAML: it holds a character that no text has"),
            ("a: 1\n---\nb: 2", "not YAML: but found another document"),
        ],
    )
    def test_it_says_where_and_why(self, document, text, message):
        with pytest.raises(ConfigError, match=message):
            document(text)

    def test_a_file_that_is_missing_or_no_text(self, tmp_path):
        with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml: No such file"):
            read(tmp_path / "none.yaml", {})
        (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\xff")
        with pytest.raises(ConfigError, match="it is not UTF-8"):
            read(tmp_path / "x.yaml", {})


class TestSecrets:
    def test_they_come_from_the_environment(self, document):
        assert document("a: ${A}\nb: <${B}>", A="x y", B="").content == {"a": "x y", "b": "<>"}

    def test_or_from_a_file_beside_this_one_without_its_last_line_break(self, document, tmp_path):
        (tmp_path / "secret").write_text("pa ss\n")
        assert document("a: ${file:secret}\n").content == {"a": "pa ss"}
        assert document(f"a: ${{file:{tmp_path}/secret}}\n").content == {"a": "pa ss"}

    def test_within_an_address_they_are_percent_encoded(self, document):
        found = document("url: rtsp://me:${P}@cam/${P}", P="p@ss/w?rd%")
        assert found.content == {"url": "rtsp://me:p%40ss%2Fw%3Frd%25@cam/p%40ss%2Fw%3Frd%25"}

    def test_a_whole_address_is_taken_as_it_is(self, document):
        assert document("url: ${U}", U="rtsp://me:p@cam/a?b").content == {"url": "rtsp://me:p@cam/a?b"}

    def test_a_doubled_sign_is_no_reference(self, document):
        assert document("a: $${A} $A $").content == {"a": "${A} $A $"}

    def test_what_is_missing_is_a_problem_with_its_place(self, document):
        found = document("a: ${NONE}\nb: [1, '${file:none}']")
        assert found.problems == [
            (("a",), "${NONE} is not set in the environment"),
            (("b", 1), "cannot read the secret in none: No such file or directory"),
        ]

    def test_wherever_they_stand_in_an_address_they_are_masked_from_now_on(self, document):
        found = document("url: rtsp://cam:7447/${TOKEN}?x=1", TOKEN="s3cr/et")
        assert urls.shown(found.content["url"]) == "rtsp://cam:7447/***?x=1"
        assert urls.shown("cannot open s3cr/et") == "cannot open ***"

    def test_but_not_a_whole_address_and_nothing_very_short(self, document):
        document("a: ${U}\nb: ${S}", U="rtsp://cam/x", S="554")
        assert urls.shown("rtsp://cam/x:554") == "rtsp://cam/x:554"
