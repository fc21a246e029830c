"""The torch network of an exported file: its shape and weights are read back from the ONNX."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streamcolor.errors import BackendError

from .autoencoder import Autoencoder, Predictor, Shape

QUANTIZED = "_quantized"  # the suffix that ONNX Runtime's quantizer gives to integers
STORED_HALF = ".half"  # the suffix of weights that are stored in half precision and cast when the file is loaded


def read(path: Path) -> onnx.ModelProto:
    """Return what `path` holds; raises BackendError."""
    try:
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise BackendError(f"cannot read the network {path}: {error}") from error


def rebuild(path: Path) -> Predictor:
    """Return the network of `path`, a file that `training.export` wrote, in single precision and eval mode.

    Of a quantized file the weights are those of the file, but activations are not rounded. BackendError: the file is
    damaged or not ours.
    """
    model = read(path)
    weights, card = _weights(model), card_of(model)
    try:
        moments, push = weights["moments"], weights["push"]
        palette = moments[:2, :, 0, 0].T.contiguous()
        network = Autoencoder(_shape(weights), palette, torch.zeros(len(palette)))
        settings = {name: float(card[name]) for name in ("sharpness", "spread", "calm")}
        predictor = Predictor(network, boost=0.0, **settings)
        fold_batch_norms(predictor.eval())
        unused = ("network.hints.weight", "network.palette", "network.prior", "moments", "push")
        state = {name: value for name, value in predictor.state_dict().items() if name in unused}
        state |= {name: value for name, value in weights.items() if name.startswith("network.")}
        predictor.load_state_dict(state | {"moments": moments, "push": push})
    except (KeyError, RuntimeError, ValueError) as error:
        raise BackendError(
            f"cannot rebuild the network {path} in torch: it is not a file of training.export "
            f"({str(error).splitlines()[0]})"
        ) from error
    return predictor


def card_of(model: onnx.ModelProto) -> dict[str, str]:
    """Return what a file says about itself."""
    return {entry.key: entry.value for entry in model.metadata_props}


def dimensions(tensors: Iterable[onnx.ValueInfoProto]) -> dict[str, int]:
    """Return how many dimensions each input or output of a graph has, by name."""
    return {tensor.name: len(tensor.type.tensor_type.shape.dim) for tensor in tensors}


def _weights(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Return the constants of a file by name, in single precision whatever they are stored in."""
    stored = {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in model.graph.initializer
    }
    weights = {}
    for name, values in stored.items():
        if name.endswith(QUANTIZED):
            plain = name.removesuffix(QUANTIZED)
            scale = stored.get(f"{plain}_scale", stored.get(f"{name}_scale"))  # of weights; of biases
            if scale is not None:  # one a channel, symmetric: zero is zero
                weights[plain] = values.float() * scale.reshape(-1, *[1] * (values.ndim - 1))
        elif not name.endswith(("_scale", "_zero_point")):
            weights[name.removesuffix(STORED_HALF)] = values.float()
    return weights


def _shape(weights: dict[str, Tensor]) -> Shape:
    """Read the widths and block counts off the names and shapes of the weights."""
    widths, blocks = [len(weights["network.stem.1.0.weight"])], [_count(weights, "network.top.{}.first.0.weight")]
    for stage in range(_count(weights, "network.down.{}.0.0.weight")):
        widths.append(len(weights[f"network.down.{stage}.0.0.weight"]))
        blocks.append(_count(weights, f"network.down.{stage}.{{}}.first.0.weight", first=1))
    levels = _count(weights, "network.up.{}.0.weight")
    return Shape(widths, blocks, [len(weights[f"network.up.{level}.0.weight"]) for level in range(levels)])


def _count(weights: dict[str, Tensor], pattern: str, *, first: int = 0) -> int:
    """Count the names `pattern` with first, first+1, … that there are."""
    number = first
    while pattern.format(number) in weights:
        number += 1
    return number - first


def fold_batch_norms(network: nn.Module) -> None:
    """Merge each batch norm of a network in eval mode into the convolution before it; change `network` in place."""
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        parts = list(sequence)
        for place, (first, second) in enumerate(pairwise(parts)):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                sequence[place], sequence[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
