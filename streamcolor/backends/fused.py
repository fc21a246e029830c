"""One graph from a Y' plane to the planes of Cb and Cr: an exported network with all that is done before and after it.

It is exported for one size, matrix and range and any number of pictures. Inputs: `luma` uint8 (N,1,H,W), `vividness`
and `saturation` float32 (1,). Output: `chroma` uint8 (N,2,ceil(H/2),ceil(W/2)), Cb then Cr, or interleaved as in NV12,
(N,ceil(H/2),ceil(W/2),2), which is what NVENC reads.
"""

import logging
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import onnx
import torch
from numpy.typing import NDArray

from streamcolor.backends import Network, described
from streamcolor.chroma import network_size
from streamcolor.color import RGB_FROM_RELATIVE_XYZ, code_range, codes_from_rgb
from streamcolor.errors import ConfigError
from streamcolor.frames import ColorSpace
from streamcolor.nets.planes import Codes, PlanesColorizer, Row
from streamcolor.nets.rebuild import card_of, read, rebuild

Precision: TypeAlias = Literal["fp32", "fp16"]
Layout: TypeAlias = Literal["planar", "nv12"]
"""Cb and Cr as planes of their own, or in turn."""

INPUTS: Final = ("luma", "vividness", "saturation")
OUTPUT: Final = "chroma"


@dataclass(frozen=True, slots=True)
class Fusion:
    """Pictures of one stream, and how they are to be computed. Raises ConfigError."""

    width: int
    height: int
    space: ColorSpace = field(default_factory=ColorSpace)
    precision: Precision = "fp16"
    layout: Layout = "planar"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("precision", self.precision, get_args(Precision)),
            ("layout", self.layout, get_args(Layout)),
        ):
            if value not in known:
                raise ConfigError(f"{name} is {value!r}: choose {', '.join(known)}")
        if min(self.width, self.height) < 2 or max(self.width, self.height) > 16384:
            raise ConfigError(f"a picture of {self.width}x{self.height}: a side may be 2 to 16384 pixels long")
        if self.space.depth != 8:
            raise ConfigError(f"the graph reads 8-bit planes, not {self.space.depth}-bit ones")

    def __str__(self) -> str:
        parts = [f"{self.height}x{self.width}", self.space.matrix.name.lower(), self.levels, self.precision]
        return "-".join(parts + [self.layout] * (self.layout != "planar"))

    @property
    def levels(self) -> str:
        """Name the range of the codes."""
        return "full" if self.space.full_range else "limited"


def fuse(path: Path, fusion: Fusion) -> PlanesColorizer:
    """Return the module for a network's file, on the processor, in eval mode. Raises BackendError."""
    network = network_of(path)
    width, height = network_size(fusion.width, fusion.height, pixels=network.pixels, stride=network.stride)
    module = PlanesColorizer(
        rebuild(path),
        picture=(fusion.height, fusion.width),
        small=(height, width),
        codes=codes_of(fusion.space),
        half=fusion.precision == "fp16",
        interleaved=fusion.layout == "nv12",
    )
    return module.eval()


def graph_of(path: Path, fusion: Fusion) -> bytes:
    """Return the same as an ONNX graph, which says in its metadata what it is. Raises BackendError."""
    network = network_of(path)
    model = exported(fuse(path, fusion))
    card = {
        "precision": fusion.precision,
        "size": f"{fusion.height}x{fusion.width}",
        "matrix": fusion.space.matrix.name.lower(),
        "range": fusion.levels,
        "layout": fusion.layout,
    }
    onnx.helper.set_model_props(model, {**network.metadata, **card})
    return bytes(model.SerializeToString())


def exported(module: PlanesColorizer) -> onnx.ModelProto:
    """Return the graph of a module, with a dynamic number of pictures."""
    luma = torch.zeros(2, 1, *module.picture, dtype=torch.uint8)  # two: a batch of one is taken for a constant
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of what it does not find installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter uses what torch calls deprecated
        program = torch.onnx.export(
            module,
            (luma, torch.ones(1), torch.ones(1)),
            dynamo=True,
            verbose=False,
            input_names=INPUTS,
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("N")}, None, None),
        )
    assert program is not None
    model = program.model_proto  # made anew each time it is asked for
    forget_origin(model)
    return model


def forget_origin(model: onnx.ModelProto) -> None:
    """Drop what torch notes at every node: stack traces with the paths of the machine that exported it."""
    graph = model.graph
    for noted in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del noted.metadata_props[:]


def network_of(path: Path) -> Network:
    """Return what a network's file says about itself; raises BackendError."""
    return described(path, card_of(read(path)))


def codes_of(space: ColorSpace) -> Codes:
    """Return the numbers of a color space."""
    black, span, neutral, _ = code_range(space)
    weights, _ = codes_from_rgb(space)
    return Codes(black, span, neutral, chroma=_rows(weights[1:]), rgb=_rows(RGB_FROM_RELATIVE_XYZ))


def _rows(matrix: NDArray[Any]) -> list[Row]:
    return [(x, y, z) for x, y, z in matrix.tolist()]
