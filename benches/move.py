#!/usr/bin/env python3
"""Measures moves with the release build of this tree: what clients notice of them, transfer, deduplication, and the switch.

    python3 benches/move.py                                   # everything; some five minutes on two cores
    python3 benches/move.py --parts latency,shadow            # some of it

Ratios compare turns that alternate within one run. Clients, both servers and this program share the machine, which should be idle.
Needs Rust, Python and openssl. Networks have random weights (crates/testing).
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches"))
import bench  # noqa: E402
import large  # noqa: E402

CLIENTS = 8
LATENCY_TARGET = 1.25
PHASES = ("copying", "loading", "warming", "verifying", "shadowing", "switching", "watching", "draining")


# ---- servers and moves ----
class Pair:
    """A development and a production server that knows it."""

    def __init__(self, folder, engine):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        os.environ["XDG_CONFIG_HOME"] = str(self.folder)
        self.dev = bench.Server(bench.TARGET / "dede", engine, self.folder)
        # It stands for another machine, so it must not take this one from the clients.
        for thread in os.listdir(f"/proc/{self.dev.pid}/task"):
            os.sched_setscheduler(int(thread), os.SCHED_IDLE, os.sched_param(0))
        (self.folder / "dede").mkdir()
        (self.folder / "dede/dede.toml").write_text(f'[peers.dev]\nurl = "http://127.0.0.1:{self.dev.port}"\n')
        self.prod = bench.Server(bench.TARGET / "dede", engine, self.folder)

    def move(self, service, until="done", **members):
        """Moves to the end, or until it is in this phase, and aborts it there; what it came to."""
        begun = self.prod.call("POST", "/moves", {"service": service, "source": "dev", "auto": True, **members})
        path = f"/moves/{begun['body']['id']}"
        while True:
            info = get(self.prod, path)["body"]
            if info["phase"] == until:
                if until != "done":
                    self.prod.call("POST", f"{path}/abort", {})
                return info["report"]
            if info["phase"] in ("done", "aborted", "rolled_back"):
                raise SystemExit(f"the move of {service} ended {info['phase']}: {info.get('error')}")
            time.sleep(0.1)

    def stop(self):
        self.prod.stop()
        self.dev.stop()
        shutil.rmtree(self.folder)


def get(server, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=60) as answer:
        return json.load(answer)


def train_rows(server, name, layers, iterations, seed):
    """A csv service as users have it: a multilayer perceptron, trained on iris by this very server."""
    repository = server.log.parent / f"{name}-{server.port}"
    repository.mkdir()
    server.call("PUT", f"/services/{name}", {
        "mllib": "caffe", "description": "bench", "type": "supervised", "model": {"repository": str(repository)},
        "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "mlp", "nclasses": 3, "layers": layers}}})
    server.call("POST", "/train", {
        "service": name, "async": False, "data": [str(bench.DATA / "iris.csv")],
        "parameters": {"input": {"label": "target", "id": "id", "scale": True, "shuffle": True, "test_split": 0.2, "seed": seed},
                       "mllib": {"solver": {"iterations": iterations, "base_lr": 0.01, "solver_type": "ADAM"},
                                 "net": {"batch_size": 30}, "seed": seed},
                       "output": {"measure": ["acc"]}}})


def create_images(server, name, repository):
    server.call("PUT", f"/services/{name}", {
        "mllib": "caffe", "description": "bench", "type": "supervised", "model": {"repository": str(repository)},
        "parameters": {"input": {"connector": "image", "width": 224, "height": 224}, "mllib": {"nclasses": 1000}}})


# ---- clients ----
def bodies(folder):
    rows = [line.split(",", 1)[1] for line in (bench.DATA / "iris_nolabel.csv").read_text().splitlines()[1:]]
    file = folder / "bodies"
    file.write_text("\n".join(json.dumps({"service": "service1", "data": [row]}) for row in rows))
    return file


def load(server, file, seconds, rate=None):
    command = [bench.TARGET / "load", f"127.0.0.1:{server.port}", file, "--clients", str(CLIENTS), "--seconds", str(seconds), "--samples"]
    command += ["--rate", str(rate)] if rate else []
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if report["failures"]:
        raise SystemExit(f"{report['failures']} requests failed, the first: {report['first_failure']}")
    return report


def quietly(work):
    """Runs it on a thread of lower priority than servers and clients."""
    found = []

    def run():
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        found.append(work())
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


class Load(threading.Thread):
    """Clients that work while something else goes on, in stretches of some seconds."""

    def __init__(self, *arguments):
        super().__init__(daemon=True)
        self.arguments, self.enough, self.found, self.failed = arguments, threading.Event(), [], None
        self.start()

    def run(self):
        try:
            while not self.enough.is_set():
                self.found += load(*self.arguments)["samples"]
        except SystemExit as failed:
            self.failed = failed

    def samples(self):
        """Ends with the present stretch."""
        self.enough.set()
        self.join()
        if self.failed:
            raise self.failed
        return self.found


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(head, rows):
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")
    print(flush=True)


def progress(text):
    print(f"{time.strftime('%T')} {text}", file=sys.stderr, flush=True)


def others():
    """Cores that other processes keep busy, while nothing of ours runs."""
    before, start = bench.peers.machine_busy()[0], time.monotonic()
    time.sleep(1)
    return (bench.peers.machine_busy()[0] - before) / (time.monotonic() - start)


# ---- the parts ----
def latency(folder, arguments):
    """A large network is brought while clients ask for a small one, which is then moved onto; by phase, against before and after."""
    network = bench.make_network(arguments.network, folder)
    found = {phase: [] for phase in PHASES}
    for turn in range(arguments.turns):
        pair = Pair(folder, arguments.engine)
        train_rows(pair.prod, "service1", [16, 16], 100, 1)
        train_rows(pair.dev, "service2", [16, 16], 100, 2)
        create_images(pair.dev, "large", network)
        file = bodies(folder)
        most = load(pair.prod, file, 2)["requests_s"]
        clients = Load(pair.prod, file, 4, 0.3 * most)
        began = time.time() * 1000
        time.sleep(arguments.seconds)
        moved = time.time() * 1000
        brought = quietly(lambda: pair.move("large"))
        members = {"as": "service1", "shadow_for_s": arguments.seconds, "watch_for_s": arguments.seconds, "policy": {"requests": 10**9}}
        onto = quietly(lambda: pair.move("service2", **members))
        ended = time.time() * 1000
        time.sleep(arguments.seconds)
        samples = clients.samples()
        # The first moments of the clients are theirs alone.
        steady = [took for at, took, _ in samples if began + 500 < at < moved or at > ended + 200]
        base = {share: quantile(steady, share) for share in (0.5, 0.99)}
        for report, phases in ((brought, PHASES[:4]), (onto, PHASES[4:])):
            for time_of in report["phases"]:
                if time_of["phase"] not in phases:
                    continue
                first, last = time_of["began_ms"], time_of["began_ms"] + time_of["took_ms"]
                inside = [took for at, took, _ in samples if first <= at < last]
                if len(inside) >= 100:
                    found[time_of["phase"]].append([len(inside), *(quantile(inside, share) / base[share] for share in base)])
        progress(f"latency, turn {turn + 1}: {most:.0f} requests/s at most, steady p50 {base[0.5]:.3f} ms, p99 {base[0.99]:.3f} ms, "
                 + ", ".join(f"{phase} {rows[-1][2]:.2f}" for phase, rows in found.items() if rows))
        pair.stop()
    rows = []
    for phase, turns in found.items():
        if turns:
            counts, p50, p99 = zip(*turns)
            met = "met" if statistics.median(p99) <= LATENCY_TARGET else "**missed**"
            rows.append((phase, len(turns), sum(counts), f"{statistics.median(p50):.2f}", f"{statistics.median(p99):.2f}",
                         " ".join(f"{ratio:.2f}" for ratio in p99), met))
        else:
            rows.append((phase, 0, "fewer than 100 in each turn", "–", "–", "–", "–"))
    print(f"Open loop at 30 % of the maximum, {arguments.turns} turns; a phase counts in a turn where it saw 100 requests:\n")
    table(("phase", "turns", "requests", "p50 ratio", f"p99 ratio (≤ {LATENCY_TARGET})", "of each turn", ""), rows)


def timed(command):
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def transfer(folder, arguments):
    """The copying phase of a move against cp, sync and openssl, in alternating turns."""
    network = bench.make_network("resnet50", folder)
    ratios, rows = [], []
    for turn in range(arguments.turns):
        copy = folder / "copy"
        by_hand = timed(["cp", "-r", network, copy]) + timed(["sync"])
        by_hand += timed(["openssl", "dgst", "-sha256", *(file for file in copy.rglob("*") if file.is_file())])
        shutil.rmtree(copy)
        pair = Pair(folder, arguments.engine)
        create_images(pair.dev, "large", network)
        subprocess.run(["sync"], check=True)
        report = pair.move("large", until="loading")
        phases = {phase["phase"]: phase["took_ms"] / 1000 for phase in report["phases"]}
        size = report["sent_bytes"] / 1e6
        ratios.append(by_hand / phases["copying"])
        rows.append((turn + 1, f"{size:.1f}", f"{by_hand:.2f}", f"{phases['copying']:.2f}", f"{phases['planned']:.2f}",
                     f"{size / phases['copying']:.0f}", f"{ratios[-1]:.2f}"))
        progress(f"transfer {rows[-1]}")
        pair.stop()
    table(("turn", "MB", "cp, sync, openssl s", "copying s", "planning s", "MB/s", "ratio (≥ 0.8)"), rows)
    print(f"median ratio {statistics.median(ratios):.2f}\n")


def deduplication(folder, arguments):
    """What the plan of a move onto a network sends of others."""
    command = ["cargo", "run", "--release", "-q", "-p", "dede-bundle", "--example", "chunk_transfer"]
    print("```\n" + subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout + "```\n")
    base = bench.make_network("resnet50", folder)
    tuned, head = folder / "tuned", folder / "head"
    subprocess.run([bench.TARGET / "make-network", "resnet50", tuned, "--seed", "99"], check=True)
    shutil.copytree(base, head)
    weights = next(base.glob("*.caffemodel")).name
    old, new = (base / weights).read_bytes(), (tuned / weights).read_bytes()
    cut = len(old) - 4 * 2048 * 1000                                # the last layer is the last of the file
    (head / weights).write_bytes(old[:cut] + new[cut:])
    pair = Pair(folder, arguments.engine)
    create_images(pair.prod, "service1", base)
    rows = []
    for name, what, repository in (("head", "its last layer retrained", head), ("tuned", "every weight changed", tuned)):
        create_images(pair.dev, name, repository)
        plan = pair.prod.call("POST", "/moves/plan", {"service": name, "source": "dev", "as": "service1"})["body"]
        sent, total = plan["send_bytes"], plan["total_bytes"]
        rows.append((f"ResNet-50, {what}", f"{total / 1e6:.1f}", f"{sent / 1e6:.1f}", f"{100 * sent / total:.1f} %"))
    pair.stop()
    table(("moved onto ResNet-50", "MB", "sent MB", ""), rows)


def bare_fsync_ms(folder):
    """What a durable change of a file costs: written, synced, renamed, the directory synced."""
    times = []
    for number in range(30):
        start = time.monotonic()
        file = os.open(folder / "new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.write(file, b"x" * 2000)
        os.fsync(file)
        os.close(file)
        os.rename(folder / "new", folder / "state")
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        times.append((time.monotonic() - start) * 1000)
    return statistics.median(times)


def switch(folder, arguments):
    """Saturated clients note when each request started and which version answered it."""
    rows = []
    for turn in range(arguments.turns):
        pair = Pair(folder, arguments.engine)
        train_rows(pair.prod, "service1", [16, 16], 100, 1)
        train_rows(pair.dev, "service2", [16, 16], 100, 2)
        clients = Load(pair.prod, bodies(folder), 5)
        report = pair.move("service2", **{"as": "service1", "shadow_for_s": 1, "watch_for_s": 1, "policy": {"requests": 10**9}})
        samples = clients.samples()
        old = max(at for at, _, by in samples if not by.endswith(report["version"]))
        new = min(at for at, _, by in samples if by.endswith(report["version"]))
        rows.append((turn + 1, len(samples), f"{new - old:.3f}", f"{report['switch_ms']:.2f}", f"{bare_fsync_ms(folder):.2f}"))
        progress(f"switch {rows[-1]}")
        pair.stop()
    print("At saturation. A gap below 0: the last request that the old one answered started after the first that the new one answered, "
          "both being under way at the switch.\n")
    table(("turn", "requests", "gap ms (≤ 1)", "switch_ms", "one durable write alone ms"), rows)


class Stall:
    """Holds the thread of a shadow still at its first copy, in a build with failpoints."""

    def __init__(self, folder):
        self.folder, self.turn = folder / "failpoints", 0
        self.folder.mkdir()
        os.environ["DEDE_FAILPOINTS"] = str(self.folder)

    def arm(self):
        self.turn += 1
        (self.folder / "wanted").write_text("copy:0" if self.turn % 2 else "copy")
        (self.folder / "reached").unlink(missing_ok=True)

    def end(self):
        (self.folder / "wanted").unlink(missing_ok=True)
        (self.folder / "reached").unlink(missing_ok=True)
        del os.environ["DEDE_FAILPOINTS"]


def shadow(folder, arguments):
    """The same clients with and without a shadow that fails, one that hangs, and one that takes far longer than they do."""
    rows = []
    for kind, what in (("dead", "fails at once"), ("stalled", "never ends its first copy"), ("slow", "computes on 16 million weights")):
        place = folder / kind
        place.mkdir()
        stall = Stall(place) if kind == "stalled" else None
        binary = failpoints_build(arguments) if stall else bench.TARGET / "dede"
        server = bench.Server(binary, arguments.engine, place)
        train_rows(server, "plain", [16, 16], 100, 1)
        if kind == "dead":
            create_images(server, kind, bench.make_network("resnet18", place))
        else:
            train_rows(server, kind, [4000, 4000] if kind == "slow" else [16, 16], 1, 1)
        server.call("PUT", "/aliases/service1", {"service": "plain"})
        ratios, rate = shadowed_pairs(server, kind, bodies(place), stall, arguments)
        if stall:
            stall.end()
        server.stop()
        for share, found in ratios.items():
            rows.append((kind, what, f"{rate:.0f}", f"p{100 * share:.0f}", f"{statistics.median(found):.3f}",
                         " ".join(f"{ratio:.2f}" for ratio in found)))
    table(("shadow", "which", "requests/s", "quantile", "with to without, median (p99 ≤ 1.05)", "of each pair"), rows)


def failpoints_build(arguments):
    target = ROOT / "target/failpoints"
    if not arguments.no_build or not (target / "release/dede").exists():
        command = ["cargo", "build", "--release", "-q", "-p", "dede", "--features", "failpoints", "--target-dir", target]
        subprocess.run(command, cwd=ROOT, check=True)
    return target / "release/dede"


def shadowed_pairs(server, kind, file, stall, arguments):
    """Ratios of latencies with to without the shadow, pair by pair, and the rate of requests."""
    rate = 0.3 * load(server, file, 2)["requests_s"]
    ratios = {0.5: [], 0.99: []}
    for turn in range(arguments.pairs):
        p = {}
        for shadowed in ((False, True) if turn % 2 else (True, False)):
            if stall and shadowed:
                stall.arm()
            to = {"shadow": {"service": kind, "percent": 100}} if shadowed else {}
            server.call("PUT", "/aliases/service1", {"service": "plain", **to})
            time.sleep(0.3)
            samples = load(server, file, arguments.seconds, rate)["samples"]
            took = [took for _, took, _ in samples[len(samples) // 10:]]
            p[shadowed] = {share: quantile(took, share) for share in ratios}
        for share, found in ratios.items():
            found.append(p[True][share] / p[False][share])
        progress(f"{kind} shadow, pair {turn + 1}: p99 {p[False][0.99]:.3f} and {p[True][0.99]:.3f} ms")
    return ratios, rate


PARTS = {"latency": latency, "transfer": transfer, "deduplication": deduplication, "switch": switch, "shadow": shadow, "large": large.part}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--engine", default="rten")
    parser.add_argument("--network", default="resnet18", help="that is brought while latencies are measured: squeezenet, resnet18, resnet50")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=3, help="of each phase that waits, and of each turn of the shadow")
    parser.add_argument("--no-build", action="store_true", help="the release build is there")
    arguments = parser.parse_args()
    bench.build_release(arguments)
    with tempfile.TemporaryDirectory(prefix="dede-bench-") as name:
        for part in arguments.parts:
            print(f"### {part}\n\nOther work on the machine before it: {others():.2f} of {os.cpu_count()} cores.\n")
            folder = pathlib.Path(name) / part
            folder.mkdir()
            PARTS[part](folder, arguments)


if __name__ == "__main__":
    main()
