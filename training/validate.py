"""The figures and the contact sheet of a network in training, on pictures it does not train on."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from .degrade import luma
from .figures import colorfulness, psnr, with_chroma
from .networks import Network
from .pictures import Picture, usable
from .sheet import write_sheet

SIDE = 160  # pixels, short side: what a picture is brought to


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


def colorize(network: Network, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """Return (truth, gray, colored with the mean color), each float32 (H,W,3), of a size that the stride divides."""
    height, width = rgb.shape[:2]
    factor = SIDE / min(height, width)
    size = (max(2, round(width * factor / 64)) * 64, max(2, round(height * factor / 64)) * 64)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8)
    truth = np.asarray(resized / 255, np.float32)
    light = luma(resized)
    device = next(network.parameters()).device
    with torch.inference_mode():
        ab = network.mean_color(network(torch.from_numpy(light[None, None]).to(device)))[0].cpu().numpy()
    ab_hw2 = np.ascontiguousarray(ab.transpose(1, 2, 0))
    full = np.asarray(cv2.resize(ab_hw2, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return truth, with_chroma(truth, light, np.zeros_like(full)), with_chroma(truth, light, full)
