#!/usr/bin/env python3
"""Memory and pause of moves with and without --replace-first, and what a deleted service leaves behind.

    python3 benches/exchange.py                               # both engines, ResNet-50; a minute and a half

Needs Rust and Python. Networks have random weights (crates/testing).
"""
import argparse
import pathlib
import subprocess
import tempfile
import threading
import time

import move
from move import bench


class Peak(threading.Thread):
    """The most that a server had resident while this ran, MB."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.most, self.enough = server, server.memory_mb(), threading.Event()
        self.start()

    def run(self):
        while not self.enough.wait(0.01):
            self.most = max(self.most, self.server.memory_mb())

    def end(self):
        self.enough.set()
        self.join()
        return self.most


def one_move(folder, engine, networks, replace_first):
    """A row of the table."""
    pair = move.Pair(folder, engine)
    move.create_images(pair.prod, "service1", networks[0])
    move.create_images(pair.dev, "service2", networks[1])
    before = pair.prod.memory_mb()
    how = {"replace_first": True, "hold_for_s": 60} if replace_first else {}
    members = {"as": "service1", **how}
    plan = pair.prod.call("POST", "/moves/plan", {"service": "service2", "source": "dev", **members})["body"]
    peak = Peak(pair.prod)
    report = pair.move("service2", watch_for_s=0, shadow_for_s=0, **members)
    most = peak.end()
    pause, rollback = report.get("exchange", {}).get("pause_ms", 0) / 1000, time.monotonic()
    pair.prod.call("POST", "/aliases/service1/rollback", {})
    rollback = time.monotonic() - rollback
    pair.stop()
    return (engine, "replaced first" if replace_first else "beside each other", f"{before:.0f}", f"{most:.0f}",
            f"{plan['pause_ms'] / 1000:.1f}" if replace_first else "", f"{pause:.1f}" if replace_first else "", f"{rollback:.2f}")


def deleted(folder, engine, network):
    """Resident memory before a service, with it, and after it."""
    server = bench.Server(bench.TARGET / "dede", engine, folder)
    row = [engine, f"{server.memory_mb():.0f}"]
    for _ in range(3):
        move.create_images(server, "large", network)
        loaded = server.memory_mb()
        server.call("DELETE", "/services/large", {})
        time.sleep(1)
        row.append(f"{loaded:.0f} {server.memory_mb():.0f}")
    server.stop()
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=lambda text: text.split(","), default=["rten", "onnxruntime"])
    parser.add_argument("--no-build", action="store_true", help="the release build is there")
    arguments = parser.parse_args()
    bench.build_release(arguments)
    with tempfile.TemporaryDirectory(prefix="dede-bench-") as name:
        folder = pathlib.Path(name)
        networks = [bench.make_network("resnet50", folder), folder / "tuned"]
        subprocess.run([bench.TARGET / "make-network", "resnet50", networks[1], "--seed", "99"], check=True)
        rows = [one_move(folder, engine, networks, first) for engine in arguments.engines for first in (False, True)]
        move.table(("engine", "networks", "before MB", "at most MB", "pause planned s", "pause s", "rollback s"), rows)
        rows = [deleted(folder, engine, networks[0]) for engine in arguments.engines]
        move.table(("engine", "idle MB", *[f"{what} created, deleted MB" for what in ("first", "second", "third")]), rows)


if __name__ == "__main__":
    main()
