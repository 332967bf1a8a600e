"""Writes prior_boxes.txt: boxes of Caffe's PriorBox as OpenCV's importer computes them.

    pip install numpy 'opencv-python-headless<5'
    python3 prior_boxes.py > prior_boxes.txt

OpenCV wants a variance and clips where nothing is
said, and it does not read img_size. Of each case there are four lines: the text of prior_box_param, height and width of the feature map, height and width of the image,
and the boxes and variances. OpenCV does not cut sizes off to whole pixels, so that all sizes here are whole.
"""

import cv2
import numpy as np

CASES = [
    ("min_size: 7 variance: 0.1 clip: false", (2, 3), (30, 40)),
    ("min_size: 6 max_size: 11 aspect_ratio: 2 aspect_ratio: 3 variance: [0.1, 0.1, 0.2, 0.2] step: 8 clip: false", (3, 2), (24, 24)),
    ("min_size: 6 max_size: 11 aspect_ratio: 2 flip: false clip: true variance: 0.3", (2, 2), (20, 16)),
    ("min_size: 9 max_size: 15 aspect_ratio: [1, 2, 2, 0.5] offset: 0.25 variance: 0.2 clip: false", (1, 3), (32, 32)),
    ("min_size: 10 step_h: 5 step_w: 9 variance: [0.1, 0.2, 0.3, 0.4] clip: false", (2, 2), (50, 60)),
    ("min_size: 10 aspect_ratio: 1.5 clip: true offset: 0 variance: 0.1", (2, 2), (10, 12)),
]


def boxes(param, feature, image):
    inputs = ["feature", "image"]
    text = "".join(f'input: "{name}" input_shape {{ dim: [1, 1, {dims[0]}, {dims[1]}] }} '
                   for name, dims in zip(inputs, [feature, image]))
    text += f'layer {{ name: "b" type: "PriorBox" bottom: "feature" bottom: "image" top: "b" prior_box_param {{ {param} }} }}'
    empty = b"\xa2\x06\x06\x0a\x04none"
    net = cv2.dnn.readNetFromCaffe(*[np.frombuffer(part, np.uint8) for part in [text.encode(), empty]])
    for name, dims in zip(inputs, [feature, image]):
        net.setInput(np.zeros((1, 1, *dims), np.float32), name)
    return net.forward().ravel()


print("# Written by prior_boxes.py, which says what stands here.")
for param, feature, image in CASES:
    found = boxes(param, feature, image)
    print(param, " ".join(map(str, feature)), " ".join(map(str, image)), " ".join(map(str, found)), sep="\n")
