"""Writes expected.json: maps scaled by OpenCV. Needs: pip install numpy "opencv-python-headless<5"."""

import json
import pathlib

import cv2
import numpy

SIZES = [((4, 3), (8, 6)), ((4, 3), (7, 5)), ((5, 4), (3, 2)), ((3, 3), (10, 1)), ((1, 1), (3, 2)), ((6, 5), (6, 5)),
         ((7, 3), (100, 1)), ((13, 2), (3, 5)), ((2, 9), (5, 31))]

random = numpy.random.default_rng(12)
cases = []
for source, target in SIZES:
    values = random.random((source[1], source[0]), dtype=numpy.float32)
    scaled = {name: cv2.resize(values, target, interpolation=how)
              for name, how in [("nearest", cv2.INTER_NEAREST), ("bilinear", cv2.INTER_LINEAR)]}
    flat = {name: [float(value) for value in map_.ravel()] for name, map_ in {"values": values, **scaled}.items()}
    cases.append({"from": source, "to": target, **flat})
lines = ",\n".join(json.dumps(case) for case in cases)
pathlib.Path(__file__).with_name("expected.json").write_text(f"[\n{lines}\n]\n")
