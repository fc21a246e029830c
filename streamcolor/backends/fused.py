"""One graph from a Y' plane to the planes of Cb and Cr: an exported network with all that is done before and after it.

It is exported for one size, matrix and range and any number of pictures. Inputs: `luma` uint8 (N,1,H,W), `vividness`
and `saturation` float32 (1,). Output: `chroma` uint8 (N,2,ceil(H/2),ceil(W/2)), Cb then Cr, or interleaved as in NV12,
(N,ceil(H/2),ceil(W/2),2), which is what NVENC reads.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import onnx
import torch
from numpy.typing import NDArray
from onnx import compose
from torch import Tensor, nn

from streamcolor.backends import REDUCTION, Network, described
from streamcolor.backends.integers import symmetric
from streamcolor.chroma import network_size
from streamcolor.color import RGB_FROM_RELATIVE_XYZ, code_range, codes_from_rgb
from streamcolor.errors import ConfigError
from streamcolor.frames import ColorSpace
from streamcolor.nets.planes import Codes, PlanesColorizer, Reading, Row, Sizes, Writing
from streamcolor.nets.rebuild import card_of, read, rebuild

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
Layout: TypeAlias = Literal["planar", "nv12"]
"""Cb and Cr as planes of their own, or in turn."""

OPSET: Final = 20  # of ONNX's operators: that of the shipped files


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
    """Return the module for a network's file, on the processor, in eval mode.

    BackendError: the file cannot be used; ConfigError: int8, in which torch does not compute.
    """
    if fusion.precision == "int8":
        raise ConfigError("torch computes in fp32 or fp16: int8 is for an exported graph")
    half, interleaved = fusion.precision == "fp16", fusion.layout == "nv12"
    sizes, codes = sizes_of(network_of(path), fusion), codes_of(fusion.space)
    return PlanesColorizer(rebuild(path), sizes, codes, half=half, interleaved=interleaved).eval()


def graph_of(path: Path, fusion: Fusion) -> bytes:
    """Return the same as an ONNX graph, which says in its metadata what it is. Raises BackendError, ConfigError."""
    network = network_of(path)
    if fusion.precision == "int8":
        model = _joined(network, fusion)
    else:
        module = fuse(path, fusion)
        luma = torch.zeros(2, 1, *module.sizes.picture, dtype=torch.uint8)
        model = exported(module, {"luma": luma, "vividness": torch.ones(1), "saturation": torch.ones(1)}, ["chroma"])
    card = {
        "precision": fusion.precision,
        "size": f"{fusion.height}x{fusion.width}",
        "matrix": fusion.space.matrix.name.lower(),
        "range": fusion.levels,
        "layout": fusion.layout,
    }
    onnx.helper.set_model_props(model, {**network.metadata, **card})
    return bytes(model.SerializeToString())


def _joined(network: Network, fusion: Fusion) -> onnx.ModelProto:
    """Return the graph of a file in int8: its own nodes, between those that read and write planes in fp16."""
    if network.precision != "int8":
        raise ConfigError(f"{network.path} is not calibrated for int8: export it in fp16, or name a file that is")
    sizes, codes, interleaved = sizes_of(network, fusion), codes_of(fusion.space), fusion.layout == "nv12"
    middle = symmetric(read(network.path))
    opset = middle.opset_import[0].version  # graphs that are joined must agree
    luma = {"luma": torch.zeros(2, 1, *sizes.picture, dtype=torch.uint8)}
    before = exported(Reading(sizes, codes, half=True), luma, ["light", "light_of_ab"], opset=opset)
    small = [side // REDUCTION for side in sizes.small]
    colors = {"ab": torch.zeros(2, 2, *small), "light_of_ab": torch.zeros(2, 1, *small), "saturation": torch.ones(1)}
    after = exported(Writing(sizes, codes, half=True, interleaved=interleaved), colors, ["chroma"], opset=opset)
    for name, model in (("reading", before), ("writing", after)):
        compose.add_prefix(model, f"{name}/", rename_inputs=False, rename_outputs=False, inplace=True)
        model.ir_version = middle.ir_version
    joined = compose.merge_models(before, middle, [("light", "light")], outputs=["ab", "light_of_ab"])
    return compose.merge_models(joined, after, [("ab", "ab"), ("light_of_ab", "light_of_ab")])


def exported(
    module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], *, opset: int = OPSET
) -> onnx.ModelProto:
    """Return the graph of a module, with a dynamic number of pictures wherever two are given.

    (One would be taken for a constant.)
    """
    batch = torch.export.Dim("N")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of what it does not find installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter uses what torch calls deprecated
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=tuple({0: batch} if len(each) == 2 else None for each in inputs.values()),
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


def sizes_of(network: Network, fusion: Fusion) -> Sizes:
    """Return the sizes of planes and of what a network makes of them."""
    width, height = network_size(fusion.width, fusion.height, pixels=network.pixels, stride=network.stride)
    return Sizes(picture=(fusion.height, fusion.width), small=(height, width))


def codes_of(space: ColorSpace) -> Codes:
    """Return the numbers of a color space."""
    black, span, neutral, _ = code_range(space)
    weights, _ = codes_from_rgb(space)
    return Codes(black, span, neutral, chroma=_rows(weights[1:]), rgb=_rows(RGB_FROM_RELATIVE_XYZ))


def _rows(matrix: NDArray[Any]) -> list[Row]:
    return [(x, y, z) for x, y, z in matrix.tolist()]
