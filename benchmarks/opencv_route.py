"""The loop that everybody writes: VideoCapture, BGR to float Lab, the network on one frame, Lab to BGR, encode.

    python benchmarks/opencv_route.py INPUT OUTPUT NETWORK.onnx WIDTH HEIGHT

The same network in single precision on the same runtime, at the same size, and the same encoder settings as ours.
"""

import sys
from fractions import Fraction

import av
import cv2
import numpy as np
import openvino

source, out, network, width, height = *sys.argv[1:4], *map(int, sys.argv[4:6])
model = openvino.Core().read_model(network)
model.reshape({"light": [1, 1, height, width], "vividness": [1]})
predict = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
capture = cv2.VideoCapture(source)
rate = Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)
with av.open(out, "w") as made:
    stream = made.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
    stream.width, stream.height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    stream.pix_fmt = "yuv420p"
    while True:
        more, bgr = capture.read()
        if not more:
            break
        lab = cv2.cvtColor(bgr.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
        light = cv2.resize(lab[..., 0], (width, height), interpolation=cv2.INTER_AREA)
        ab = predict({"light": light[None, None], "vividness": np.array([0.5], np.float32)})["ab"][0]
        lab[..., 1:] = cv2.resize(np.ascontiguousarray(ab.transpose(1, 2, 0)), (stream.width, stream.height))
        colored = (cv2.cvtColor(lab, cv2.COLOR_LAB2BGR) * 255).round().clip(0, 255).astype(np.uint8)
        made.mux(stream.encode(av.VideoFrame.from_ndarray(colored, format="bgr24")))
    made.mux(stream.encode(None))
