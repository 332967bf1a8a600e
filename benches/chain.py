#!/usr/bin/env python3
"""Compares the time of a chain with that of its calls as predicts of their own.

    python3 benches/chain.py target/release/dede
    python3 benches/chain.py target/release/dede --rounds 400 --images 4

A detector (tests/docs/finder.py) finds two boxes in each image, and a SqueezeNet (crates/testing/fixtures/models/imgsq) says what is in
them. The chain sends the images; the predicts send the images to the one, and the crops to the other. All are BMP in base64, and the
three are asked in turn on one connection. The figure is the ratio of the medians: below 1 the chain is faster.
"""
import argparse
import base64
import http.client
import json
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/docs"))
import finder  # noqa: E402

WIDTH, HEIGHT = 512, 128
# Pixels of an image for each of the input of the detector.
SCALE = WIDTH // 32
WARM_UP = 10


def pixel(x, y, number):
    return (x * 3 + number * 40) % 256, (y * 5 + 90) % 256, (x + y) % 256


def bitmap(number, box=(0, 0, WIDTH, HEIGHT)):
    """A part of an image, as BMP in base64."""
    left, top, right, bottom = box
    rows = []
    for y in range(bottom - 1, top - 1, -1):
        row = b"".join(bytes(pixel(x, y, number)) for x in range(left, right))
        rows.append(row + bytes(-len(row) % 4))
    content = b"".join(rows)
    head = struct.pack("<2sIII", b"BM", 54 + len(content), 0, 54)
    head += struct.pack("<IiiHHIIiiII", 40, right - left, bottom - top, 1, 24, 0, len(content), 0, 0, 0, 0)
    return base64.b64encode(head + content).decode()


def boxes():
    corners = [finder.BOXES[at:at + 4] for at in range(0, len(finder.BOXES), 4)]
    return [tuple(corner * SCALE for corner in box) for box in corners]


class Server:
    def __init__(self, binary, work):
        self.process = subprocess.Popen([binary, "serve", "--port", "0", "--state-dir", work / "state"], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.connection = http.client.HTTPConnection(self.process.stdout.readline().strip().rsplit(" ", 1)[1])

    def call(self, method, path, body):
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        read = answer.read()
        if answer.status >= 400:
            sys.exit(f"{method} {path}: {answer.status} {read.decode()[:500]}")
        return json.loads(read)

    def create(self, name, mllib, repository, **size):
        parameters = {"input": {"connector": "image", **size}, "mllib": {"nclasses": 2} if mllib == "onnx" else {}}
        body = {"mllib": mllib, "parameters": parameters, "model": {"repository": str(repository)}}
        self.call("PUT", f"/services/{name}", json.dumps(body))


def requests(images):
    """Path and body of the chain, and of the predicts of its calls."""
    whole = [bitmap(number) for number in range(images)]
    crops = [bitmap(number, box) for number in range(images) for box in boxes()]
    find = {"service": "finder", "parameters": {"input": {"keep_orig": True}, "output": {"bbox": True}}, "data": whole}
    crop = {"id": "crop", "action": {"type": "crop", "parameters": {}}}
    chain = {"chain": {"calls": [find, crop, {"service": "kinds", "parent_id": "crop"}]}}
    predicts = [find, {"service": "kinds", "data": crops}]
    return [("/chain/measured", json.dumps(chain)), *(("/predict", json.dumps(predict)) for predict in predicts)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--images", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        finder.write(work / "finder")
        shutil.copytree(ROOT / "crates/testing/fixtures/models/imgsq", work / "kinds")
        server = Server(arguments.binary, work)
        try:
            server.create("finder", "onnx", work / "finder", width=32, height=8)
            server.create("kinds", "caffe", work / "kinds")
            asked = requests(arguments.images)
            found = server.call("POST", *asked[0])["body"]["predictions"]
            if any(len(prediction["classes"]) != 2 or "kinds" not in prediction["classes"][0] for prediction in found):
                sys.exit(f"two boxes with classes in each image expected, found {json.dumps(found)[:500]}")
            times_s = [[] for _ in asked]
            for number in range(arguments.rounds + WARM_UP):
                for (path, body), times in zip(asked, times_s):
                    began = time.perf_counter()
                    server.call("POST", path, body)
                    if number >= WARM_UP:
                        times.append(time.perf_counter() - began)
        finally:
            server.process.kill()
            server.process.wait()
    chain, *predicts = (statistics.median(times) * 1000 for times in times_s)
    print(f"{arguments.images} images, {2 * arguments.images} crops, medians of {arguments.rounds} rounds:")
    print(f"chain {chain:.2f} ms, predicts {' + '.join(f'{each:.2f}' for each in predicts)} = {sum(predicts):.2f} ms, ratio {chain / sum(predicts):.3f}")


if __name__ == "__main__":
    main()
