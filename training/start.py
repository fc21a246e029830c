"""A trained network to go on from: read back from its exported file, and made trainable again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import onnx
import torch
from torch import Tensor, nn

from streamcolor.backends import find_model, known_models
from streamcolor.nets.autoencoder import Autoencoder
from streamcolor.nets.rebuild import rebuild

from .export import STRENGTH

SIZE = 192  # pixels of a sample, or the next multiple of the network's stride


@dataclass(frozen=True, slots=True)
class Start:
    """A network to start from, its batch norms folded, and what its file says about it."""

    network: Autoencoder
    card: Mapping[str, str]
    strength: Mapping[str, float]

    @property
    def palette(self) -> tuple[Tensor, Tensor]:
        """Return the colors (Q,2) and the log of their weights in the loss (Q,)."""
        return self.network.palette, self.network.prior

    @property
    def size(self) -> int:
        """Return the side of a training sample."""
        stride = int(self.card["stride"])
        return -(-SIZE // stride) * stride


def start_from(model: str) -> Start:
    """Rebuild a shipped network by its name, or the file of one that `training.export` wrote.

    Its twin in single precision is taken where there is one: int8 weights are a poorer start. Raises ConfigError,
    BackendError.
    """
    path = find_model(f"{model}-fp32" if f"{model}-fp32" in known_models() else model)
    twin = path.with_name(f"{path.stem}-fp32.onnx")
    path = twin if twin.is_file() else path
    predictor = rebuild(path)
    card = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    strength = {name: float(card.pop(name, "0")) for name in (*STRENGTH, "calm")}
    if strength["boost"] > 0:
        predictor.network.prior.copy_(predictor.push.flatten() / strength["boost"])
    return Start(predictor.network, card, strength)


def unfolded(folded: Autoencoder, fresh: Autoencoder, lights: Iterable[Tensor]) -> Autoencoder:
    """Return `fresh` with the weights of `folded`, which has no batch norms: the same function, trainable at full rate.

    An export merges each batch norm into the convolution before it. Here every norm gets the mean and variance that its
    place has on `lights` (N,1,h,w), and the scale and shift that undo them. Hints are not exported: their branch
    starts at zero.
    """
    places = {name: part for name, part in folded.named_modules() if isinstance(part, nn.Conv2d)}
    seen: dict[str, list[Tensor]] = {name: [] for name in places}

    def note(name: str) -> None:
        def hook(_: nn.Module, __: object, out: Tensor) -> None:
            seen[name].append(torch.stack([out.mean((0, 2, 3)), (out**2).mean((0, 2, 3))]))

        hooks.append(places[name].register_forward_hook(hook))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for name in places:
        note(name)
    with torch.inference_mode():
        for light in lights:
            folded(light)
    for handle in hooks:
        handle.remove()

    state = fresh.state_dict()
    state |= {name: value for name, value in folded.state_dict().items() if name in state}
    for sequence, parts in _sequences(fresh):
        for (place, first), (after, second) in pairwise(parts):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                mean, square = torch.stack(seen[f"{sequence}.{place}"]).mean(0)
                variance = (square - mean**2).clamp(min=0)
                bias = places[f"{sequence}.{place}"].bias
                assert bias is not None  # merging a batch norm gives its convolution one
                norm = f"{sequence}.{after}"
                state[f"{norm}.running_mean"], state[f"{norm}.running_var"] = mean - bias.detach(), variance
                state[f"{norm}.weight"], state[f"{norm}.bias"] = (variance + second.eps).sqrt(), mean
    state["hints.weight"] = torch.zeros_like(state["hints.weight"])
    fresh.load_state_dict(state)
    return fresh


def _sequences(network: nn.Module) -> Iterable[tuple[str, list[tuple[str, nn.Module]]]]:
    for name, part in network.named_modules():
        if isinstance(part, nn.Sequential):
            yield name, list(part.named_children())
