"""Make before-after.jpg with the shipped network, from pictures of scikit-image that anybody may pass on.

astronaut: NASA, public domain; coffee: Rachel Michetti, CC0; chelsea (the cat): Stéfan van der Walt, CC0.
"""

from pathlib import Path

import cv2
import numpy as np
from skimage import data

import streamcolor

HEIGHT = 300

with streamcolor.load_model() as model:
    columns = []
    for picture in (data.astronaut(), data.coffee(), data.chelsea()):
        size = (round(picture.shape[1] * HEIGHT / picture.shape[0]), HEIGHT)
        gray = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        columns.append(np.vstack([cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), model.colorize(gray)]))
sheet = cv2.cvtColor(np.hstack(columns), cv2.COLOR_RGB2BGR)
cv2.imwrite(str(Path(__file__).with_name("before-after.jpg")), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])
