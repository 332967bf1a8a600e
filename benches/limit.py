#!/usr/bin/env python3
"""How near a served network comes to what engine and image work alone allow, in alternating turns of one run.

    python3 benches/limit.py                                   # SqueezeNet and ResNet-50, 8 clients and one
    python3 benches/limit.py --networks squeezenet --rounds 5

The limit of `c` cores: an image costs the engine `c / images/s` of two callers on one thread each (of one caller on all threads for a lone
client), and its decoding, resizing and normalisation, which nothing else does meanwhile for a lone client. Both are measured beside the
server with OpenCV and ONNX Runtime of Python, on the network's same ONNX file (`python3 benches/peers/peers.py --setup` first).
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile

import bench

PEERS = pathlib.Path(os.environ.get("DEDE_PEERS_DIR") or pathlib.Path.home() / ".cache/dede-peers")
PYTHON = PEERS / "venv/bin/python"
HERE = pathlib.Path(__file__).resolve().parent / "peers"
CORES = os.cpu_count()
# Decoding to normalised pixels, milliseconds of one thread.
IMAGE = """
import os, sys, time
os.environ.setdefault("PEER_THREADS", "1")
sys.path.insert(0, sys.argv[1])
import common, glob
common.SIZE = int(sys.argv[3])
files = sorted(glob.glob(sys.argv[2] + "/images/*.jpg"))
[common.image(file) for file in files]
began, rounds = time.perf_counter(), 5
for _ in range(rounds):
    [common.image(file) for file in files]
print((time.perf_counter() - began) * 1000 / rounds / len(files))
"""


def engine(network, callers, threads, seconds, *spin):
    """Images/s of the engine alone."""
    command = [PYTHON, HERE / "callers.py", PEERS / f"{network}.onnx", str(callers), str(threads), str(seconds), *spin]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def image_ms(size):
    command = [PYTHON, "-c", IMAGE, HERE, PEERS, str(size)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def served(network, folder, seconds, warmup):
    """Images/s of the server with 8 clients and with one."""
    repository = pathlib.Path(tempfile.mkdtemp(dir=folder))
    (repository / f"{network}.onnx").write_bytes((PEERS / f"{network}.onnx").read_bytes())
    server = bench.Server(bench.TARGET / "dede", "onnxruntime", folder)
    size = bench.SIZES[network]
    server.call("PUT", "/services/bench", {
        "mllib": "onnx", "description": "bench", "type": "supervised", "model": {"repository": str(repository)},
        "parameters": {"input": {"connector": "image", "width": size, "height": size}, "mllib": {"nclasses": 1000}}})
    bodies = folder / "bodies"
    bodies.write_text("\n".join(bench.image_bodies(1)))
    found = {}
    for clients in (8, 1):
        bench.drive(server, bodies, clients, 1, warmup)
        report = bench.drive(server, bodies, clients, 1, seconds)
        assert report["failures"] == 0, report
        found[clients] = report["items_s"]
    server.stop()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=lambda text: text.split(","), default=["squeezenet", "resnet50"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--warmup", type=float, default=1)
    parser.add_argument("--no-build", action="store_true", help="use target/release as it is")
    arguments = parser.parse_args()
    bench.build_release(arguments)
    print("| network | clients | engine alone /s | image work ms | limit /s | served /s | served over limit (rounds) |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dede-limit-") as folder:
        for network in arguments.networks:
            turns = {8: [], 1: []}
            for _ in range(arguments.rounds):
                several = engine(network, CORES, 1, arguments.seconds)
                alone = engine(network, 1, CORES, arguments.seconds, "spin")
                image = image_ms(bench.SIZES[network])
                found = served(network, pathlib.Path(folder), arguments.seconds, arguments.warmup)
                several_limit = CORES / (CORES / several + image / 1000)
                alone_limit = 1 / (1 / alone + image / 1000)
                turns[8].append((several, image, several_limit, found[8]))
                turns[1].append((alone, image, alone_limit, found[1]))
            for clients, rounds in turns.items():
                median = [statistics.median(column) for column in zip(*rounds)]
                ratios = [served / limit for _, _, limit, served in rounds]
                words = " ".join(f"{ratio:.3f}" for ratio in ratios)
                print(f"| {network} | {clients} | {median[0]:.1f} | {median[1]:.2f} | {median[2]:.1f} | {median[3]:.1f} "
                      f"| {statistics.median(ratios):.3f} ({words}) |", flush=True)


if __name__ == "__main__":
    main()
