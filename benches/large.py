"""A large ONNX network in dede beside `InferenceSession` of Python's onnxruntime: time and memory. A part of move.py (--parts large).

The Python that has onnxruntime lies in $DEDE_PEERS_DIR (default ~/.cache/dede-peers) and is made by the first run; it also runs this
file:   large.py make FILE LAYERS WIDTH   |   large.py reference FILE
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
LAYERS, WIDTH, CLASSES = 8, 4096, 10
TIME_TARGET, PEAK_TARGET, ESTIMATE_TARGET = 1.5, 1.3, 0.2


# ---- what runs in the other Python ----
def varint(value):
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(found + bytes([value]))


def field(number, payload):
    """A field of protobuf: an integer, or bytes with their length."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def make(path, layers, width):
    """Layers of width x width floats (Gemm, Relu) and a last one to ten values, as an exporter writes them."""
    import numpy
    rng = numpy.random.default_rng(0)

    def weight(name, *shape):
        values = rng.standard_normal(shape, dtype=numpy.float32) * numpy.float32((2 / width) ** 0.5)
        dims = b"".join(field(1, size) for size in shape)
        return field(5, dims + field(2, 1) + field(8, name.encode()) + field(9, values.tobytes()))

    def node(kind, inputs, output, *attributes):
        named = b"".join(field(1, name.encode()) for name in inputs) + field(2, output.encode()) + field(4, kind.encode())
        return field(1, named + b"".join(field(5, attribute) for attribute in attributes))

    def value(number, name, columns):
        shape = field(1, field(2, b"n")) + field(1, field(1, columns))
        return field(number, field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, shape))))
    transposed = field(1, b"transB") + field(3, 1) + field(20, 2)
    parts, before = [], "x"
    for layer in range(layers):
        parts += [weight(f"w{layer}", width, width), weight(f"b{layer}", width),
                  node("Gemm", [before, f"w{layer}", f"b{layer}"], f"g{layer}", transposed), node("Relu", [f"g{layer}"], f"r{layer}")]
        before = f"r{layer}"
    parts += [weight("last", width, CLASSES), node("MatMul", [before, "last"], "y"), value(11, "x", width), value(12, "y", CLASSES)]
    graph = field(2, b"large") + b"".join(parts)
    pathlib.Path(path).write_bytes(field(1, 8) + field(8, field(2, 17)) + field(7, graph))


def memory(key):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def reference(path):
    """Loads as Python does, runs once, and prints what that took."""
    import numpy
    import onnxruntime
    idle, start = memory("VmRSS"), time.monotonic()
    session = onnxruntime.InferenceSession(path)
    took, peak = time.monotonic() - start, memory("VmHWM")
    given = session.get_inputs()[0]
    session.run(None, {given.name: numpy.zeros((1, given.shape[1]), numpy.float32)})
    print(json.dumps({"version": onnxruntime.__version__, "seconds": took, "peak_mb": peak - idle, "after_mb": memory("VmRSS") - idle}))


# ---- the part of move.py ----
def python():
    """A Python with the version of onnxruntime that the peers have."""
    import move
    place = pathlib.Path(move.bench.peers.DIR) / "large"
    if not (place / ".done").exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        wanted = [line for line in (HERE / "peers/requirements.txt").read_text().split() if line.startswith(("onnxruntime=", "numpy="))]
        subprocess.run([place / "bin/python", "-m", "pip", "install", "-q", *wanted], check=True)
        (place / ".done").touch()
    return place / "bin/python"


def create(server, name, repository):
    start = time.monotonic()
    server.call("PUT", f"/services/{name}", {
        "mllib": "onnx", "description": "bench", "type": "supervised", "model": {"repository": str(repository)},
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": CLASSES}}})
    return time.monotonic() - start


def rows(folder):
    file = folder / "bodies"
    made = (",".join(f"{(row * 31 + column * 7) % 101 / 50 - 1:.2f}" for column in range(WIDTH)) for row in range(8))
    file.write_text("\n".join(json.dumps({"service": "large", "data": [row]}) for row in made))
    return file


def part(folder, arguments):
    import move
    bench = move.bench
    interpreter, repository = python(), folder / "repository"
    repository.mkdir()
    network = repository / "network.onnx"
    subprocess.run([interpreter, __file__, "make", network, str(LAYERS), str(WIDTH)], check=True)
    size, bodies = network.stat().st_size / 1e6, rows(folder)
    print(f"A network of {size:.0f} MB, {LAYERS} layers of {WIDTH} × {WIDTH}. Megabytes (10⁶) are those above the process before loading.\n")
    engines = ("onnxruntime", "rten")
    found = {engine: [] for engine in engines}
    lines = []
    for turn in range(arguments.turns):
        own = json.loads(subprocess.run([interpreter, __file__, "reference", network], check=True, capture_output=True, text=True).stdout)
        for key in ("peak_mb", "after_mb"):
            own[key] *= 1.048576
        lines.append((turn + 1, f"Python's onnxruntime {own['version']}", f"{own['seconds']:.2f}", f"{own['peak_mb']:.0f}", f"{own['after_mb']:.0f}", "", ""))
        for engine in engines:
            server = bench.Server(bench.TARGET / "dede", engine, folder)
            idle = server.memory_mb() * 1.048576
            took = create(server, "large", repository)
            peak = bench.peers.peak_mb([server.pid]) * 1.048576 - idle
            move.load(server, bodies, 3)
            served = bench.peers.peak_mb([server.pid]) * 1.048576 - idle
            now = server.memory_mb() * 1.048576 - idle
            server.stop()
            found[engine].append((took / own["seconds"], max(peak, served) / own["peak_mb"]))
            lines.append((turn + 1, f"dede, {engine}", f"{took:.2f}", f"{peak:.0f}", f"{now:.0f}", f"{served:.0f}",
                          " and ".join(f"{ratio:.2f}" for ratio in found[engine][-1])))
        move.progress(f"large {lines[-3:]}")
    move.table(("turn", "loaded by", "s", "at most MB", "then MB", "at most MB with 8 clients",
                f"ratios: time (≤ {TIME_TARGET}) and peak (≤ {PEAK_TARGET})"), lines)
    for engine, ratios in found.items():
        seconds, peaks = (statistics.median(column) for column in zip(*ratios))
        met = "met" if seconds <= TIME_TARGET and peaks <= PEAK_TARGET else "**missed**"
        print(f"{engine}: median {seconds:.2f} of the time, {peaks:.2f} of the peak: {met}")
    print()
    moved(folder, repository, engines)


def moved(folder, repository, engines):
    """Moves the network, and compares what its plan said with what it took."""
    import move
    lines = []
    for engine in engines:
        pair = move.Pair(folder, engine)
        idle = [server.memory_mb() * 1.048576 for server in (pair.dev, pair.prod)]
        create(pair.dev, "large", repository)
        plan = pair.prod.call("POST", "/moves/plan", {"service": "large", "source": "dev"})["body"]
        report = pair.move("large")
        phases = {phase["phase"]: f"{phase['took_ms'] / 1000:.1f}" for phase in report["phases"]}
        peaks = [move.bench.peers.peak_mb([server.pid]) * 1.048576 - before for server, before in zip((pair.dev, pair.prod), idle)]
        said = plan["memory_needed_bytes"] / 1e6
        off = said / peaks[1] - 1
        lines.append((engine, *(phases.get(phase, "0.0") for phase in ("copying", "loading", "warming", "verifying")),
                      *(f"{peak:.0f}" for peak in peaks), f"{said:.0f}", f"{100 * off:+.0f} %", "met" if abs(off) <= ESTIMATE_TARGET else "**missed**"))
        pair.stop()
    move.table(("engine", "copying s", "loading s", "warming s", "verifying s", "source at most MB", "target at most MB", "planned MB",
                f"off by (≤ {100 * ESTIMATE_TARGET:.0f} %)", ""), lines)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        reference(sys.argv[2])
