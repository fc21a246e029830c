"""The cameras of `streamcolor serve`: what cameras.yaml may say, checked as a whole."""

import difflib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from streamcolor import documents
from streamcolor.backends import BACKENDS
from streamcolor.colorizer import Every, Lightness, WhenColored
from streamcolor.documents import Key
from streamcolor.errors import ConfigError
from streamcolor.sources.deinterlace import Deinterlace
from streamcolor.urls import shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # it stands in addresses, file names and metrics
_OUTPUT = re.compile(r"rtsps?://\S+|hls:.+|(?!.*://).*\.(?:mp4|mkv|mov|webm|ts)", re.IGNORECASE | re.DOTALL)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Outputs: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class Defaults(BaseModel):
    """What holds for every camera that does not say otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = Field(default=True, description="off: the camera stays in the file and is not opened")
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="how RTSP carries the video")
    freeze: float = Field(default=3.0, ge=0.5, le=300, description="seconds without a picture until it is reopened")
    deinterlace: Deinterlace = Field(default="auto", description="with bwdif; auto: what is flagged as interlaced")
    codec: str | None = Field(default=None, description="FFmpeg's encoder; the page needs H.264")
    crf: int = Field(default=23, ge=0, le=63, description="quality of the encoder: lower is better and larger")
    preset: str = Field(default="veryfast", min_length=1, description="speed of the encoder")
    segment: float | None = Field(default=None, ge=1, description="seconds after which a file output is cut")
    saturation: float = Field(default=1.0, ge=0, le=4, description="strength of the colors; 1 as predicted")
    vividness: float | None = Field(default=None, ge=0, le=1, description="0 careful to 1 bold")
    when_colored: WhenColored = Field(default="keep", description="what happens to pictures that are in color already")
    lightness: Lightness = Field(default="luma", description="what stays bit-exact: Y', or L*")
    every: Every = Field(default="auto", description="predict when the picture changes, or every N-th frame")

    @field_validator("every")
    @classmethod
    def _some_frames(cls, every: Every) -> Every:
        if every != "auto" and every < 1:
            raise ValueError("choose auto, 1 (each frame) or a larger number")
        return every


class Camera(Defaults):
    """One camera."""

    url: str = Field(min_length=1, description="where the camera is, such as rtsp://user:${PASSWORD}@10.0.0.11/stream")
    outputs: Outputs = Field(default=(), description="where the colored video goes: rtsp://…, hls:FOLDER, a file")

    @field_validator("url")
    @classmethod
    def _not_standard_input(cls, url: str) -> str:
        if url == "-":
            raise ValueError("standard input is no camera of a server: name an address or a device")
        return url

    @field_validator("outputs")
    @classmethod
    def _are_outputs(cls, outputs: tuple[str, ...]) -> tuple[str, ...]:
        for output in outputs:
            if outputs.count(output) > 1:
                raise ValueError(f"{shown(output)!r} is there twice")
            if not _OUTPUT.fullmatch(output):
                raise ValueError(f"{shown(output)!r} is no output: name rtsp://…, hls:FOLDER or a file like x.mkv")
        return outputs


class Config(BaseModel):
    """All of cameras.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(default="tiny", description="the network of all cameras: a shipped one or an .onnx file")
    backend: str = Field(default="auto", description="what runs the network")
    defaults: Defaults = Field(default=Defaults(), description="settings for all cameras; a camera's own win")
    cameras: dict[str, Camera] = Field(description="each camera by its name")

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, written: Any) -> Any:
        """Give every camera the defaults that it does not set; an empty value means: not set."""
        written = _set(written)
        if not isinstance(written, dict) or not isinstance(cameras := written.get("cameras"), dict):
            return written
        defaults = _set(written.get("defaults"))
        try:
            inherited = Defaults.model_validate(defaults).model_dump(exclude_unset=True)
        except ValidationError:
            inherited = {}  # what is wrong there is reported there, once
        merged = {name: _merged(inherited, camera) for name, camera in cameras.items()}
        return written | {"defaults": defaults, "cameras": merged}

    @field_validator("backend")
    @classmethod
    def _is_known(cls, backend: str) -> str:
        if backend not in (known := ("auto", *BACKENDS)):
            raise ValueError(f"choose {', '.join(known)}")
        return backend

    @field_validator("cameras")
    @classmethod
    def _are_named(cls, cameras: dict[str, Camera]) -> dict[str, Camera]:
        wrong = [name for name in cameras if not _NAME.fullmatch(name)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no name: use up to 64 letters, digits, dots, dashes and underscores")
        return cameras

    @model_validator(mode="after")
    def _outputs_differ(self) -> Self:
        users: dict[str, list[str]] = defaultdict(list)
        for name, camera in self.cameras.items():
            for output in camera.outputs:
                users[output].append(name)
        if shared := {output: names for output, names in users.items() if len(names) > 1}:
            texts = (f"{shown(output)} is an output of {' and '.join(names)}" for output, names in shared.items())
            raise ValueError("; ".join(texts))
        return self


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check a file. Raises ConfigError with a line for everything that is wrong: file:line: key: what."""
    document = documents.read(path, environ)
    problems = list(document.problems)
    known = {key for key, _ in problems}  # a secret that is missing makes no second problem
    try:
        config = Config.model_validate({} if document.content is None else document.content)
    except ValidationError as error:
        problems += [(key, text) for key, text in _explained(error) if key not in known]
    if problems:
        problems.sort(key=lambda problem: document.line(problem[0]))
        raise ConfigError("\n".join(document.describe(key, text) for key, text in problems))
    return config


def changed(config: Config, name: str, camera: Mapping[str, object] | None) -> Config:
    """Return a configuration in which one camera is another, is new or (None) is gone. Raises ConfigError."""
    cameras: dict[str, object] = {each: old.model_dump() for each, old in config.cameras.items()}
    cameras[name] = camera
    if camera is None:
        del cameras[name]
    try:
        return Config.model_validate(config.model_dump(exclude_unset=True) | {"cameras": cameras})
    except ValidationError as error:
        raise ConfigError("\n".join(f"{documents.dotted(key)}: {text}" for key, text in _explained(error))) from error


def _set(section: object) -> object:
    """Leave out what is empty."""
    if section is None:
        return {}
    return {key: value for key, value in section.items() if value is not None} if isinstance(section, dict) else section


def _merged(inherited: dict[str, object], camera: object) -> object:
    own = _set(camera)
    return inherited | own if isinstance(own, dict) else own


def _explained(error: ValidationError) -> Iterator[tuple[Key, str]]:
    """Give each problem once, in our words where pydantic's do not help, and without the value: it may be a secret."""
    texts: dict[Key, list[str]] = defaultdict(list)
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        key = each["loc"]
        if each["type"] == "extra_forbidden":
            text = _unknown(key)
        elif each["type"] == "missing":
            text = "is missing"
        else:
            text = each["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        texts[_within(key)].append(text)
    for key, found in texts.items():
        yield key, " or ".join(dict.fromkeys(found))


def _unknown(key: Key) -> str:
    models: dict[str, type[BaseModel]] = {"cameras": Camera, "defaults": Defaults}
    model = models.get(str(key[0]), Config) if len(key) > 1 else Config
    close = difflib.get_close_matches(str(key[-1]), model.model_fields, n=1)
    return "unknown key" + (f"; did you mean {close[0]}?" if close else "")


def _within(key: Key) -> Key:
    """Cut off what pydantic adds to the way to a value: the branch of a union that it tried."""
    depth = {"cameras": 3, "defaults": 2}.get(str(key[0]) if key else "", 1)
    return key[: depth + (len(key) > depth and isinstance(key[depth], int))]
