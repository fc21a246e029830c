"""The loop that everybody writes, step by step that of OpenCV's own sample (samples/dnn/colorization.py).

    python benchmarks/opencv_route.py INPUT OUTPUT NETWORK.onnx WIDTH HEIGHT

BGR frames, float Lab of the whole picture, one frame at a time, Lab back to BGR. The same network in single precision
at the same size as ours, on OpenVINO, which is faster than the sample's own runtime; the same encoder settings.
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
vividness = np.array([0.5], np.float32)
capture = cv2.VideoCapture(source)
rate = Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)
full = tuple(int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
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
        small = cv2.cvtColor(cv2.resize(rgb, (width, height)), cv2.COLOR_RGB2Lab)[:, :, 0]
        ab = predict({"light": small[None, None], "vividness": vividness})["ab"][0].transpose((1, 2, 0))
        lab = np.concatenate((light[:, :, np.newaxis], cv2.resize(ab, full)), axis=2)
        bgr = np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2BGR), 0, 1)
        colored = av.VideoFrame.from_ndarray((bgr * 255).astype(np.uint8), format="bgr24")
        made.mux(stream.encode(colored))
    made.mux(stream.encode(None))
