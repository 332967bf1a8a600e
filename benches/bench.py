#!/usr/bin/env python3
"""Measures the release build of this tree: images/s, rows/s, latencies, CPU per item and memory, per inference engine.

    python3 benches/bench.py                                  # every engine and network, default JPEG decoder
    python3 benches/bench.py --decoders turbojpeg,default     # both decoders, in alternating turns
    python3 benches/bench.py --before ../before/target/release/dede   # beside another build, with the ratio of every cell
    python3 benches/bench.py --peers fastapi,mosec,litserve   # beside other servers instead, see benches/peers

Networks have random weights (crates/testing), images are 500x375 JPEGs given by path. Each round takes every network and
engine with freshly started servers, one of each build; a cell is measured on one of them directly after the other, so that what the
machine does over time falls on both. CPU and memory come from /proc, latencies from the closed-loop generator
crates/testing/src/bin/load.rs. Needs Rust, Python, and pip for the images;
turbojpeg also cmake and nasm.
"""
import argparse
import glob
import itertools
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches/peers"))
import peers  # noqa: E402

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
DATA = ROOT / "crates/testing/fixtures/data"
SIZES = {"squeezenet": 227, "resnet18": 224, "resnet50": 224}
DECODERS = {"default": [], "turbojpeg": ["--features", "turbojpeg"]}
IMAGES = 64
# In place of a decoder: a build that was there before.
BEFORE = "before"


# ---- building ----
def build(decoder, folder):
    """The server with one JPEG decoder, as a file of its own: both decoders would share target/release/dede."""
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "dede", *DECODERS[decoder]], cwd=ROOT, check=True)
    return shutil.copy2(TARGET / "dede", folder / f"dede-{decoder}")


def build_tools():
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "dede-testing", "--bins"], cwd=ROOT, check=True)


def build_release(arguments):
    """The tools and the server, unless an argument says that they are there."""
    if not arguments.no_build:
        build_tools()
        subprocess.run(["cargo", "build", "--release", "-q", "-p", "dede"], cwd=ROOT, check=True)


def make_network(name, folder):
    subprocess.run([TARGET / "make-network", name, folder / name], check=True)
    return folder / name


# ---- the server ----
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running `dede` with a state directory of its own; under another program, where that is said, and with more options."""

    def __init__(self, binary, engine, folder, under=(), options=(), state=None):
        self.port = free_port()
        self.log = folder / f"server-{self.port}.log"
        # Of its own, also where a port comes a second time.
        self.state = state or tempfile.mkdtemp(prefix="state-", dir=folder)
        command = [*under, binary, "serve", "--port", str(self.port), "--state-dir", self.state, "--engine", engine, *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.pid = self.process.pid
        while not self.ready():
            if self.process.poll() is not None:
                raise SystemExit(f"{binary} ended with {self.process.returncode}:\n{self.log.read_text()}")
            time.sleep(0.02)

    def ready(self):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).close()
            return True
        except OSError:
            return False

    def call(self, method, path, body):
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()[:500]}")

    def memory_mb(self):
        """Resident memory now."""
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(30) != 0:
            raise SystemExit(f"the server stopped with {self.process.returncode}:\n{self.log.read_text()}")


def create_images(server, repository, network):
    size = SIZES[network]
    server.call("PUT", "/services/bench", {
        "mllib": "caffe", "description": "bench", "type": "supervised", "model": {"repository": str(repository)},
        "parameters": {"input": {"connector": "image", "width": size, "height": size}, "mllib": {"nclasses": 1000}}})


def train_rows(server, folder):
    """A csv service as users have it: a multilayer perceptron trained on iris by this very server."""
    repository = tempfile.mkdtemp(prefix="csv-", dir=folder)
    server.call("PUT", "/services/bench", {
        "mllib": "caffe", "description": "bench", "type": "supervised", "model": {"repository": str(repository)},
        "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "mlp", "nclasses": 3, "layers": [16, 16]}}})
    server.call("POST", "/train", {
        "service": "bench", "async": False, "data": [str(DATA / "iris.csv")],
        "parameters": {"input": {"label": "target", "id": "id", "scale": True, "shuffle": True, "test_split": 0.2, "seed": 1},
                       "mllib": {"solver": {"iterations": 300, "base_lr": 0.01, "solver_type": "ADAM"}, "net": {"batch_size": 30}},
                       "output": {"measure": ["acc"]}}})


# ---- one cell ----
def image_bodies(batch):
    files = sorted(glob.glob(f"{peers.DIR}/images/*.jpg"))
    request = {"service": "bench", "parameters": {"input": {}, "mllib": {}, "output": {"best": 1}}}
    chosen = ([files[(start + i) % IMAGES] for i in range(batch)] for start in range(IMAGES))
    return [json.dumps({**request, "data": data}) for data in chosen]


def row_bodies(batch):
    rows = [line.split(",", 1)[1] for line in (DATA / "iris_nolabel.csv").read_text().splitlines()[1:]]
    request = {"service": "bench", "parameters": {"input": {}, "mllib": {}, "output": {"best": 1}}}
    chosen = ([rows[(start + i) % len(rows)] for i in range(batch)] for start in range(len(rows)))
    return [json.dumps({**request, "data": data}) for data in chosen]


def drive(server, bodies, clients, batch, seconds):
    command = [TARGET / "load", f"127.0.0.1:{server.port}", bodies, "--clients", str(clients), "--items", str(batch),
               "--seconds", str(seconds)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def generator_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(server, bodies, clients, batch, arguments):
    drive(server, bodies, clients, batch, arguments.warmup)
    peers.reset_peak([server.pid])
    server_0, generator_0, machine_0 = peers.cpu([server.pid]), generator_cpu(), peers.machine_busy()[0]
    report = drive(server, bodies, clients, batch, arguments.seconds)
    used = peers.cpu([server.pid]) - server_0
    generator = generator_cpu() - generator_0
    other = peers.machine_busy()[0] - machine_0 - used - generator
    wall, items = report["wall_s"], max(1, report["requests"] * batch)
    return {**report, "cpu_ms_item": used * 1000 / items, "server_cores": used / wall, "generator_cores": generator / wall,
            "other_cores": other / wall, "peak_mb": peers.peak_mb([server.pid])}


def prepared(server, network, repository, folder):
    """Creates the service; the server's memory without and with it."""
    idle_mb = server.memory_mb()
    if network == "csv":
        train_rows(server, folder)
    else:
        create_images(server, repository, network)
    return {"idle_mb": idle_mb, "created_mb": server.memory_mb()}


def turns(binaries, engine, network, repository, folder, arguments, is_odd):
    """All cells of one network on fresh servers of one engine, one build after the other in each."""
    servers = {decoder: Server(binary, engine, folder) for decoder, binary in binaries.items()}
    memory = {decoder: prepared(server, network, repository, folder) for decoder, server in servers.items()}
    for number, (clients, batch) in enumerate(arguments.csv_cells if network == "csv" else arguments.cells):
        bodies = folder / "bodies"
        bodies.write_text("\n".join((row_bodies if network == "csv" else image_bodies)(batch)))
        # Every other time the other way round.
        for decoder in list(servers)[:: -1 if (number + is_odd) % 2 else 1]:
            result = measure(servers[decoder], bodies, clients, batch, arguments)
            yield decoder, {"clients": clients, "batch": batch, **memory[decoder], **result}
    for server in servers.values():
        server.stop()


# ---- tables ----
def median(rows, key):
    values = [row[key] for row in rows if row[key] is not None]
    return statistics.median(values) if values else float("nan")


def grouped(results, *keys):
    groups = {}
    for row in results:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def table(results):
    head = ("network", "clients × batch", "variant", "items/s (rounds)", "p50 ms", "p99 ms", "CPU ms/item", "server cores",
            "generator cores", "other cores", "peak MB", "failures")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for (network, clients, batch, variant), rows in grouped(results, "network", "clients", "batch", "variant").items():
        rates = " ".join(f"{row['items_s']:.1f}" for row in rows)
        lines.append(
            f"| {network} | {clients} × {batch} | {variant} | {median(rows, 'items_s'):.1f} ({rates}) | {median(rows, 'p50_ms'):.2f} | "
            f"{median(rows, 'p99_ms'):.2f} | {median(rows, 'cpu_ms_item'):.3f} | {median(rows, 'server_cores'):.2f} | "
            f"{median(rows, 'generator_cores'):.2f} | {max(row['other_cores'] for row in rows):.2f} | "
            f"{max(row['peak_mb'] for row in rows):.0f} | {sum(row['failures'] for row in rows)} |")
    lines += ["", "| network | variant | idle MB | service created MB |", "|---|---|---|---|"]
    for (network, variant), rows in grouped(results, "network", "variant").items():
        lines.append(f"| {network} | {variant} | {median(rows, 'idle_mb'):.1f} | {median(rows, 'created_mb'):.1f} |")
    return "\n".join(lines)


def ratios(results, decoder):
    """Items per second of this tree over those of the build before: every round by itself, and their median."""
    lines = ["| network | engine | clients × batch | items/s over before (rounds) |", "|---|---|---|---|"]
    for (network, engine, clients, batch), rows in grouped(results, "network", "engine", "clients", "batch").items():
        rates = {(row["decoder"], row["round"]): row["items_s"] for row in rows}
        rounds = [rates[decoder, number] / rates[BEFORE, number] for number in sorted({row["round"] for row in rows})]
        each = " ".join(f"{ratio:.3f}" for ratio in rounds)
        lines.append(f"| {network} | {engine} | {clients} × {batch} | {statistics.median(rounds):.3f} ({each}) |")
    return "\n".join(lines)


# ---- the two ways to run ----
def bench(binaries, folder, arguments):
    results, load = [], os.getloadavg()[0]
    repositories = {name: make_network(name, folder) for name in arguments.networks if name != "csv"}
    for number in range(arguments.rounds):
        for network in arguments.networks:
            # Rows are not decoded.
            left_out = arguments.decoders[1:] if network == "csv" else []
            chosen = {decoder: binary for decoder, binary in binaries.items() if decoder not in left_out}
            for engine in arguments.engines:
                repository = repositories.get(network)
                for decoder, result in turns(chosen, engine, network, repository, folder, arguments, number % 2):
                    variant = shown(engine, decoder, network)
                    results.append({"network": network, "variant": variant, "engine": engine, "decoder": decoder, "round": number, **result})
                    print(f"{time.strftime('%T')} {json.dumps(results[-1])}", file=sys.stderr, flush=True)
                if arguments.json:
                    pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1))
    print(f"{os.cpu_count()} CPUs, load average before {load:.2f}, {arguments.rounds} rounds of {arguments.seconds:g} s\n")
    print(table(results))
    if arguments.before:
        print(f"\n{ratios(results, arguments.decoders[0])}")


def shown(engine, decoder, network):
    if decoder == BEFORE:
        return f"{engine}, before"
    return engine if network == "csv" else f"{engine}, {decoder} decoder"


def compare(binaries, folder, arguments):
    networks = [name for name in arguments.networks if name in peers.SIZES]
    repositories = {name: make_network(name, folder) for name in networks}
    command = [sys.executable, ROOT / "benches/peers/peers.py", "--peers", arguments.peers, "--models", ",".join(networks),
               "--cells", ",".join(f"{clients}x{batch}" for clients, batch in arguments.cells),
               "--seconds", str(arguments.seconds), "--warmup", str(arguments.warmup), "--rounds", str(arguments.rounds),
               "--json", arguments.json or folder / "peers.json"]
    servers = []
    for engine, (decoder, binary) in itertools.product(arguments.engines, binaries.items()):
        servers.append(Server(binary, engine, folder))
        name = f"dede-{engine}-{decoder}"
        command += ["--url", f"{name}=http://127.0.0.1:{servers[-1].port}"]
        for network, repository in repositories.items():
            command += ["--repo", f"{name}:{network}:{repository}"]
    subprocess.run(command, check=True)
    for server in servers:
        server.stop()


def cell_list(text):
    return [tuple(map(int, cell.split("x"))) for cell in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--engines", type=names, default=["onnxruntime", "rten"])
    parser.add_argument("--decoders", type=names, default=["default"], help="default, turbojpeg or both")
    parser.add_argument("--networks", type=names, default=[*SIZES, "csv"])
    parser.add_argument("--cells", type=cell_list, default="1x1,8x1,1x32,8x32", help="clients x images per request")
    parser.add_argument("--csv-cells", type=cell_list, default="1x1,8x1", help="clients x rows per request")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", help="compare with these servers of benches/peers instead")
    parser.add_argument("--before", type=pathlib.Path, help="another build of dede: measured in turns with this one")
    parser.add_argument("--json", help="where to write every single result")
    arguments = parser.parse_args()
    peers.setup()
    build_tools()
    with tempfile.TemporaryDirectory(prefix="dede-bench-") as name:
        folder = pathlib.Path(name)
        binaries = {decoder: build(decoder, folder) for decoder in arguments.decoders}
        if arguments.before:
            binaries[BEFORE] = arguments.before.resolve(strict=True)
        (compare if arguments.peers else bench)(binaries, folder, arguments)


if __name__ == "__main__":
    main()
