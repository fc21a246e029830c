"""The loop that everybody writes, step by step that of OpenCV's own sample (samples/dnn/colorization.py).

    python benchmarks/opencv_route.py INPUT OUTPUT RUNTIME

BGR frames, float Lab of the whole picture, one frame at a time, Lab back to BGR. The same network in single precision
at the same size as ours; the same encoder settings. RUNTIME: torch is what a network comes out of training in,
openvino is the fastest there is for it (the sample's own, cv2.dnn, cannot load the network).
"""

import os
import sys
from fractions import Fraction

import av
import cv2
import numpy as np

from streamcolor.backends import open_backend
from streamcolor.chroma import network_size

cv2.setNumThreads(os.cpu_count() or 1)  # OpenCV's default, which streamcolor turned off for itself
source, out, runtime = sys.argv[1:4]
backend = open_backend(runtime, "tiny-fp32", threads=2)
capture = cv2.VideoCapture(source)
rate = Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)
full = tuple(int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
size = network_size(*full, pixels=backend.network.pixels, stride=backend.network.stride)
with av.open(out, "w") as made:
    stream = made.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
    stream.width, stream.height = full
    stream.pix_fmt = "yuv420p"
    while True:
        more, frame = capture.read()
        if not more:
            break
        rgb = (frame[:, :, [2, 1, 0]] * 1.0 / 255).astype(np.float32)
        light = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[:, :, 0]
        small = cv2.cvtColor(cv2.resize(rgb, size), cv2.COLOR_RGB2Lab)[:, :, 0]
        ab = backend.predict(small[None, None], vividness=0.5).ab_N2hw[0].transpose((1, 2, 0))
        lab = np.concatenate((light[:, :, np.newaxis], cv2.resize(ab, full)), axis=2)
        bgr = np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2BGR), 0, 1)
        colored = av.VideoFrame.from_ndarray((bgr * 255).astype(np.uint8), format="bgr24")
        made.mux(stream.encode(colored))
    made.mux(stream.encode(None))
