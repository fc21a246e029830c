"""cameras.yaml is checked as a whole, and every mistake is told at once with its place."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streamcolor import config, urls
from streamcolor.backends import BACKENDS
from streamcolor.config import Camera, Config, Defaults
from streamcolor.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_kept_secrets(monkeypatch):
    monkeypatch.setattr(urls, "_kept", set())


@pytest.fixture
def load(tmp_path):
    def load(text, **environ):
        path = tmp_path / "cameras.yaml"
        path.write_text(text)
        return config.load(path, environ)

    return load


@pytest.fixture
def mistakes(load):
    """What is said about a file that cannot be used: one line for each mistake, without its folder."""

    def mistakes(text, **environ):
        with pytest.raises(ConfigError) as caught:
            load(text, **environ)
        return [re.sub(r"^.*/(?=cameras\.yaml)", "", line) for line in str(caught.value).splitlines()]

    return mistakes


class TestGood:
    def test_the_example_is_good(self, request):
        example = config.load(
            request.config.rootpath / "configs" / "cameras.yaml", {"GATE_PASSWORD": "a", "YARD_TOKEN": "b"}
        )
        assert list(example.cameras) == ["gate", "yard", "barn"]
        assert not example.cameras["barn"].enabled
        assert example.cameras["yard"].outputs == ("/var/lib/streamcolor/yard.mp4",)

    def test_an_address_is_enough(self, load):
        assert load("cameras: {gate: {url: rtsp://cam}}").cameras == {"gate": Camera(url="rtsp://cam")}

    def test_no_camera_yet_is_fine(self, load):
        assert load("cameras: {}").cameras == {}

    def test_a_camera_inherits_what_it_does_not_set(self, load):
        found = load("defaults: {crf: 30, freeze: 5}\ncameras: {a: {url: x, crf: 20}, b: {url: y}}").cameras
        assert (found["a"].crf, found["a"].freeze, found["b"].crf) == (20, 5.0, 30)

    def test_an_empty_value_means_not_set(self, load):
        found = load("model:\ndefaults:\n  crf: 30\ncameras:\n  a:\n    url: x\n    crf:\n    outputs:\n")
        assert (found.model, found.cameras["a"].crf, found.cameras["a"].outputs) == ("tiny", 30, ())

    @pytest.mark.parametrize("word", ["off", "no", "false", "False"])
    def test_a_camera_can_be_switched_off_in_any_words(self, load, word):
        assert not load(f"cameras: {{a: {{url: x, enabled: {word}}}}}").cameras["a"].enabled

    def test_names_that_yaml_takes_for_something_else_are_names(self, load):
        assert list(load("cameras: {off: {url: x}, 7: {url: y}, null: {url: z}}").cameras) == ["off", "7", "null"]

    def test_secrets_reach_the_address(self, load):
        assert load("cameras: {a: {url: 'rtsp://u:${P}@c'}}", P="p@").cameras["a"].url == "rtsp://u:p%40@c"


class TestMistakes:
    def test_all_are_told_at_once_in_the_order_of_the_file(self, mistakes):
        text = """\
backend: cuda
defaults:
  crf: 99
cameras:
  gate:
    url: rtsp://u:${NONE}@cam
  yard:
    outputs: [rtsp://out/yard, off]
    every: 0
  gate:
    url: x
colors: true
"""
        assert mistakes(text) == [
            f"cameras.yaml:1: backend: choose auto, {', '.join(BACKENDS)}",
            "cameras.yaml:3: defaults.crf: Input should be less than or equal to 63",
            "cameras.yaml:5: cameras.gate: is there twice, again in line 10",
            "cameras.yaml:6: cameras.gate.url: ${NONE} is not set in the environment",
            "cameras.yaml:7: cameras.yard.url: is missing",
            "cameras.yaml:8: cameras.yard.outputs: 'off' is no output: name rtsp://…, hls:FOLDER or a file like x.mkv",
            "cameras.yaml:9: cameras.yard.every: choose auto, 1 (each frame) or a larger number",
            "cameras.yaml:12: colors: unknown key",
        ]

    def test_a_word_that_is_nearly_right_is_suggested(self, mistakes):
        said = mistakes("modle: tiny\ndefaults: {transprot: udp}\ncameras: {a: {url: x, satuartion: 2}}")
        assert said == [
            "cameras.yaml:1: modle: unknown key; did you mean model?",
            "cameras.yaml:2: defaults.transprot: unknown key; did you mean transport?",
            "cameras.yaml:3: cameras.a.satuartion: unknown key; did you mean saturation?",
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "cameras.yaml:1: cameras: is missing"),
            ("- 1", "cameras.yaml:1: Input should be a valid dictionary or instance of Config"),
            ("cameras:", "cameras.yaml:1: cameras: is missing"),
            ("cameras: [x]", "cameras.yaml:1: cameras: Input should be a valid dictionary"),
            ("cameras:\n  a:", "cameras.yaml:2: cameras.a.url: is missing"),
            ("cameras:\n  a: rtsp://cam", "cameras.yaml:2: cameras.a: Input should be a valid dictionary"),
            ("cameras:\n  a/b: {url: x}", "cameras.yaml:1: cameras: 'a/b' is no name: use up to 64 letters"),
            ("cameras:\n  a: {url: '-'}", "cameras.yaml:2: cameras.a.url: standard input is no camera"),
            ("cameras:\n  a: {url: ''}", "cameras.yaml:2: cameras.a.url: String should have at least 1 character"),
            ("cameras:\n  a: {url: x, outputs: [a.ts, a.ts]}", "cameras.yaml:2: cameras.a.outputs: 'a.ts' is there"),
            ("cameras:\n  a: {url: x, outputs: srt://h/a.ts}", "cameras.yaml:2: cameras.a.outputs: 'srt://h/a.ts'"),
            ("cameras:\n  a: {url: x, outputs: '-'}", "cameras.yaml:2: cameras.a.outputs: '-' is no output"),
            ("cameras:\n  a: {url: x, freeze: .nan}", "cameras.yaml:2: cameras.a.freeze: Input should be a valid"),
            ("cameras:\n  a: {url: x, freeze: nan}", "cameras.yaml:2: cameras.a.freeze: Input should be a finite"),
            ("cameras:\n  a: {url: x, transport: sctp}", "cameras.yaml:2: cameras.a.transport: Input should be 'tcp'"),
            ("cameras:\n  a: {url: x, every: often}", "cameras.yaml:2: cameras.a.every: Input should be 'auto'"),
            ("defaults: {url: x}\ncameras: {}", "cameras.yaml:1: defaults.url: unknown key"),
            ("defaults: 7\ncameras: {a: {url: x}}", "cameras.yaml:1: defaults: Input should be a valid dictionary"),
            (
                "cameras: {a: {url: x, outputs: rtsp://h/o}, b: {url: y, outputs: rtsp://h/o}}",
                "cameras.yaml:1: rtsp://h/o is an output of a and b",
            ),
        ],
    )  # fmt: skip
    def test_each_has_its_place(self, mistakes, text, message):
        (said,) = mistakes(text)
        assert said.startswith(message)

    def test_no_secret_is_told(self, mistakes):
        said = mistakes(
            "cameras:\n  a: {url: [rtsp://u:canary@c], crf: '${P}', outputs: ['rtsp//u:${P}@c', 'x://u:canary@h y']}\n"
            "  b: rtsp://u:canary@c",
            P="canary/2",
        )
        assert len(said) == 4
        assert not [line for line in said if "canary" in line]


class TestChanged:
    BEFORE = Config.model_validate(
        {"defaults": {"crf": 30}, "cameras": {"a": {"url": "x"}, "b": {"url": "y", "crf": 1}}}
    )

    def test_a_new_camera_inherits_the_defaults(self):
        after = config.changed(self.BEFORE, "c", {"url": "z"})
        assert after.cameras == self.BEFORE.cameras | {"c": Camera(url="z", crf=30)}

    def test_a_camera_is_replaced_as_a_whole(self):
        assert config.changed(self.BEFORE, "b", {"url": "z"}).cameras["b"] == Camera(url="z", crf=30)

    def test_a_camera_goes(self):
        assert list(config.changed(self.BEFORE, "a", None).cameras) == ["b"]

    def test_a_mistake_is_told_with_its_key(self):
        with pytest.raises(
            ConfigError, match=r"^cameras\.c\.crf: Input should be .*\ncameras\.c\.nonsense: unknown key$"
        ):
            config.changed(self.BEFORE, "c", {"url": "z", "crf": -1, "nonsense": 1})


words = st.text(st.characters(exclude_categories=("C",), exclude_characters="$"), min_size=1)
cameras = st.builds(
    Camera,
    url=words.filter(lambda text: text != "-"),
    outputs=st.lists(words.map(lambda text: f"rtsp://host/{text.split()[0] if text.split() else 0}"), unique=True).map(
        tuple
    ),
    enabled=st.booleans(),
    transport=st.sampled_from(["tcp", "udp"]),
    freeze=st.floats(0.5, 300),
    deinterlace=st.sampled_from(["auto", "on", "off"]),
    crf=st.integers(0, 63),
    segment=st.none() | st.floats(1, 1e6),
    vividness=st.none() | st.floats(0, 1),
    every=st.just("auto") | st.integers(1, 99),
)


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True), cameras, max_size=3))
def test_what_is_written_is_read_back(tmp_path_factory, cameras):
    path = tmp_path_factory.mktemp("config") / "cameras.yaml"
    try:
        written = Config(cameras=cameras)
    except ValueError:
        return  # two of one output: see above
    path.write_text(yaml.safe_dump(written.model_dump(mode="json")), encoding="utf-8")
    assert config.load(path, {}) == written


class TestReference:
    def test_every_key_is_documented_with_its_default_and_its_description(self, request):
        text = (request.config.rootpath / "docs" / "cameras.md").read_text()
        for model in (Config, Camera, Defaults):
            for name, field in model.model_fields.items():
                if field.is_required():
                    default = "required"
                else:
                    default = {"()": "none", "None": "", "True": "on"}.get(str(field.default), f"`{field.default}`")
                if name == "defaults":
                    default = ""
                assert f"| `{name}` | {default} | {field.description}" in text, f"{name} {default} {field.description}"
