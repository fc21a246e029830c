"""The figures and the contact sheet of a network in training, on pictures it does not train on."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from streamcolor.chroma import network_size

from .degrade import luma
from .figures import colorfulness, psnr, with_chroma
from .networks import PIXELS, STRIDE, Network
from .pictures import Picture, usable
from .sheet import write_sheet
from .stills import Rgb

SIDE = 256  # pixels of the short side that a picture is compared at


def validate(network: Network, pictures: Sequence[Picture], *, sheet: Path, count: int = 200) -> dict[str, float]:
    """Return gain over gray (dB), colorfulness as a part of the truth's, and write a sheet: gray | ours | truth."""
    training = network.training
    network.eval()
    gains, ours, truths = [], [], []
    rows: list[list[NDArray[np.uint8]]] = []
    for _, rgb in usable(pictures, count):
        truth, gray, colored = colorize(network, rgb)
        gains.append(psnr(truth, colored) - psnr(truth, gray))
        ours.append(colorfulness(colored))
        truths.append(colorfulness(truth))
        if len(rows) < 24:
            rows.append([(picture * 255).astype(np.uint8) for picture in (gray, colored, truth)])
    network.train(training)
    write_sheet(sheet, rows)
    return {"gain": float(np.mean(gains)), "colorfulness": float(np.sum(ours) / np.sum(truths))}


def colorize(network: Network, rgb: Rgb) -> tuple[NDArray[np.float32], ...]:
    """Return (truth, gray, colored with the mean color), each float32 (H,W,3), with a short side of at most `SIDE`.

    The network is shown what the pipeline would show it of such a picture.
    """
    resized = small(rgb)
    height, width = resized.shape[:2]
    size = network_size(width, height, pixels=PIXELS, stride=STRIDE)
    light = luma(np.asarray(cv2.resize(resized, size, interpolation=cv2.INTER_AREA), np.uint8))
    device = next(network.parameters()).device
    with torch.inference_mode():
        ab = network.mean_color(network(torch.from_numpy(light[None, None]).to(device)))[0].cpu().numpy()
    ab_hw2 = np.ascontiguousarray(ab.transpose(1, 2, 0))
    full = np.asarray(cv2.resize(ab_hw2, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    truth, light = np.asarray(resized / 255, np.float32), luma(resized)
    return truth, with_chroma(truth, light, np.zeros_like(full)), with_chroma(truth, light, full)


def small(rgb: Rgb) -> Rgb:
    """Return a picture with a short side of at most `SIDE`."""
    height, width = rgb.shape[:2]
    factor = min(1.0, SIDE / min(height, width))
    size = (round(width * factor), round(height * factor))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
