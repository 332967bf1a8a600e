"""The engine alone, in process: so many callers, each run on so many threads. Run with the environment's Python.

    callers.py NETWORK.onnx CALLERS THREADS SECONDS [spin]      -> images/s
"""
import os
import sys
import threading
import time

import numpy as np

path, callers, threads, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
os.environ.setdefault("PEER_THREADS", str(threads))
import common  # noqa: E402

session = common.session(path, threads=threads, spin=len(sys.argv) > 5)
size = session.get_inputs()[0].shape[-1]
size = size if isinstance(size, int) else (227 if "squeezenet" in path else 224)
image = np.random.default_rng(0).standard_normal((1, 3, size, size)).astype(np.float32)
for _ in range(5):
    session.run(None, {"x": image})
counts, end = [0] * callers, time.perf_counter() + seconds


def run(number):
    while time.perf_counter() < end:
        session.run(None, {"x": image})
        counts[number] += 1


began = time.perf_counter()
running = [threading.Thread(target=run, args=(number,)) for number in range(callers)]
[thread.start() for thread in running]
[thread.join() for thread in running]
print(sum(counts) / (time.perf_counter() - began))
