"""Export a trained network to ONNX: `python -m training.export runs/tiny/last.pt --data DIR -o tiny`.

Writes NAME.onnx (int8 by static Q/DQ: the one to use) and NAME-fp32.onnx (weights stored in half precision, arithmetic
in single: the reference). Each is compared with torch.
"""

import argparse
import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from streamcolor.backends.fused import forget_origin
from streamcolor.chroma import network_size
from streamcolor.nets.autoencoder import Autoencoder, Predictor
from streamcolor.nets.rebuild import STORED_HALF, fold_batch_norms

from .degrade import luma
from .networks import PIXELS, STRIDE, Network, build, predictor_of, stride_of
from .pictures import Picture, find_pictures, split, usable
from .samples import ab_of
from .seed import SeedPredictor

CALIBRATION = 200  # pictures
STRENGTH: Final = {"boost": 2.0, "sharpness": 1.0, "spread": 25.0}  # see Predictor; its `calm` is fitted
TOLERANCE = 0.25  # CIE units that a,b may differ at most from torch on average, half-precision weights included

Lights = Sequence[NDArray[np.float32]]  # each (1, 1, h, w), L* in 0..100
Exported = Predictor | SeedPredictor


class ExportError(Exception):
    """An exported file does not do what the trained network does."""


def load_checkpoint(path: Path) -> Autoencoder:
    """Rebuild the averaged network of a training checkpoint, ready for inference; ExportError if it is a `seed`."""
    network = load_network(path)
    if not isinstance(network, Autoencoder):
        raise ExportError(f"{path} holds a network without a palette: only evaluation and export can use it")
    return network


def load_network(path: Path) -> Network:
    """Rebuild the averaged network of a training checkpoint, of whatever kind, ready for inference."""
    saved = torch.load(path, map_location="cpu", weights_only=False)
    palette = None if saved["palette"] is None else (saved["palette"], saved["prior"])
    network = build(saved["settings"]["shape"], palette)
    weights = {k.removeprefix("module."): v for k, v in saved["average"].items() if k.startswith("module.")}
    network.load_state_dict(weights)
    return network.eval()


def held_from(path: Path, pictures: Sequence[Picture]) -> list[Picture]:
    """Return those of `pictures` that a checkpoint's run has not trained on, none if it held back other sources."""
    settings = torch.load(path, map_location="cpu", weights_only=False)["settings"]
    held_back = [source for source in settings["held_back"] if any(picture.source == source for picture in pictures)]
    if settings["held_back"] and not held_back:
        return []
    return split(pictures, held_back, settings["validation_share"])[1]


def card_of(path: Path, name: str, *, pixels: int = PIXELS) -> dict[str, str]:
    """Return what the file of a checkpoint's network must say about itself; `pixels` is the area that it works at."""
    stride = stride_of(torch.load(path, map_location="cpu", weights_only=False)["settings"]["shape"])
    return {"name": name, "stride": str(stride), "pixels": str(pixels), "precision": "fp32"}


def export(network: Network, path: Path, *, card: Mapping[str, str], strength: Mapping[str, float]) -> Exported:
    """Write `network` with its palette arithmetic to `path`; `card` becomes the file's metadata."""
    folded = copy.deepcopy(network).eval()
    fold_batch_norms(folded)
    predictor = predictor_of(folded, strength).eval()
    example = (torch.rand(2, 1, 192, 320) * 100, torch.tensor([0.5]))
    batch, height, width = (torch.export.Dim(name) for name in ("N", "h8", "w8"))
    stride = int(card["stride"])
    program = torch.onnx.export(
        predictor,
        example,
        dynamo=True,
        verbose=False,
        input_names=["light", "vividness"],
        output_names=["ab", "confidence"],
        dynamic_shapes=({0: batch, 2: stride * height, 3: stride * width}, None),
    )
    assert program is not None
    model = program.model_proto
    forget_origin(model)
    onnx.helper.set_model_props(model, dict(card) | {key: str(value) for key, value in strength.items()})
    store_half(model)
    onnx.save(model, path)
    return predictor


def export_both(
    network: Network, out: Path, pictures: Sequence[Picture], *, card: Mapping[str, str], strength: Mapping[str, float]
) -> Path:
    """Write OUT.onnx, int8 calibrated on `pictures`, and OUT-fp32.onnx; compare both with torch; return the first.

    ExportError: the file in single precision does not do what torch does. Nothing is kept then.
    """
    int8, single = (out.with_name(f"{out.name}{suffix}.onnx") for suffix in ("", "-fp32"))
    predictor = export(network, single, card=card, strength=strength)
    lights = lights_of(pictures, CALIBRATION)
    mean = float(deviation(predictor, single, lights[:20]).mean())
    if mean > TOLERANCE:
        single.unlink()
        raise ExportError(f"{single} differs from torch by {mean:.2f} CIE units on average: not kept")
    quantize(single, int8, lights)
    for path in (single, int8):
        distances = deviation(predictor, path, lights[:50])
        worst = np.quantile(distances, 0.99)
        print(f"{path}: a,b differ from torch by {distances.mean():.2f} CIE units on average, p99 {worst:.2f}")
    return int8


def fitted_calm(network: Network, pictures: Sequence[Picture], count: int = 200) -> float:
    """Return what the mean color is best multiplied by on pictures that were not trained on, by least squares.

    At most 1: on pictures that are strange to it a network expects more color than is there, never less. 1 if there is
    no picture to judge by.
    """
    agreement = power = 0.0
    for _, rgb in usable(pictures, count):
        size = network_size(*rgb.shape[1::-1], pixels=PIXELS, stride=STRIDE)
        shown = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        with torch.inference_mode():
            ours = network.mean_color(network(torch.from_numpy(luma(shown)[None, None])))[0].numpy()
        agreement += float((ours * ab_of(shown)).sum())
        power += float((ours**2).sum())
    return min(1.0, max(0.0, agreement / power)) if power else 1.0


def store_half(model: onnx.ModelProto) -> None:
    """Store large weights in half precision, cast to single when the file is loaded: half the size, same arithmetic."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 256:
            continue
        stored = f"{tensor.name}{STORED_HALF}"
        casts.append(onnx.helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT))
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def quantize(path: Path, quantized: Path, lights: Lights) -> None:
    """Quantize the convolutions of `path` to int8, calibrated by the extremes seen on `lights`."""
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _Calibration(lights),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_palette_nodes(onnx.load(prepared)),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Weights of seven bits: processors without VNNI add two products in 16 bits, which eight bits overflow, and
            # had other colors: CIEDE2000 of 1.5 to single precision on average, instead of 0.3.
            reduce_range=True,
        )
    card = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    model = onnx.load(quantized)
    onnx.helper.set_model_props(model, card | {"precision": "int8"})  # the quantizer adds its own, of no use to anybody
    onnx.save(model, quantized)


def _palette_nodes(model: onnx.ModelProto) -> list[str]:
    """Name the head and all that comes after it: logits and probabilities need more than 8 bits."""
    after = {tensor.name for tensor in model.graph.initializer if tensor.name.startswith("network.head.weight")}
    names = []
    for node in model.graph.node:
        if after & set(node.input):
            after |= set(node.output)
            names.append(node.name)
    if not names:
        raise ExportError("the graph has no network.head: its palette would be quantized too")
    return names


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, lights: Lights) -> None:
        self._feeds: Iterator[dict[str, Any]] = iter([{"light": light, "vividness": VIVIDNESS} for light in lights])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


VIVIDNESS = np.array([0.5], np.float32)


def lights_of(pictures: Sequence[Picture], count: int, size: tuple[int, int] = (256, 192)) -> Lights:
    """Read `count` pictures and return their L*, each (1,1,h,w), area-averaged or enlarged to `size` (w,h)."""
    resized = (cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) for _, rgb in usable(pictures, count))
    return [luma(np.asarray(rgb, np.uint8))[None, None] for rgb in resized]


def deviation(predictor: Exported, path: Path, lights: Lights) -> NDArray[np.float32]:
    """Return the distance in a,b between torch and the file for every place of every picture."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    distances = []
    for light in lights:
        ab, _ = session.run(None, {"light": light, "vividness": VIVIDNESS})
        with torch.inference_mode():
            reference = predictor(torch.from_numpy(light), torch.from_numpy(VIVIDNESS))[0].numpy()
        distances.append(np.hypot(*(ab - reference)[0]).ravel())
    return np.concatenate(distances)


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="last.pt of a training run")
    parser.add_argument("-o", "--out", type=Path, required=True, help="path of the files to write, without .onnx")
    parser.add_argument("--data", type=Path, required=True, help="pictures to calibrate int8 with")
    parser.add_argument("--pixels", type=int, default=PIXELS, help=f"area that it works at (default {PIXELS})")
    parser.add_argument("--card", type=Path, help="JSON of strings for the file's metadata: licence, version, …")
    for name, value in STRENGTH.items():
        parser.add_argument(f"--{name}", type=float, default=value, help=f"see Predictor (default {value})")
    parser.add_argument("--calm", type=float, help="see Predictor (default: fitted to the run's validation pictures)")
    given = parser.parse_args()
    card = card_of(given.checkpoint, given.out.name, pixels=given.pixels) | (
        json.loads(given.card.read_text()) if given.card else {}
    )
    network = load_network(given.checkpoint)
    found = find_pictures(given.data)
    calm = fitted_calm(network, held_from(given.checkpoint, found)) if given.calm is None else given.calm
    print(f"calm: {calm:.2f}")
    strength = {name: getattr(given, name) for name in STRENGTH} | {"calm": round(calm, 3)}
    export_both(network, given.out, found, card=card, strength=strength)


if __name__ == "__main__":
    main()
