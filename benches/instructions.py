#!/usr/bin/env python3
"""Instructions that a predicted item takes in this tree and in another build: what noise of the machine cannot hide.

    python3 benches/instructions.py --before ../before/target/release/dede

The cells of bench.py, with both servers under callgrind (valgrind, which has to be installed): it counts every instruction of the
server in user mode while the closed-loop generator sends requests, the engine's included. Threads run one at a time there, so this
says what is computed, not how well two cores are used: bench.py says that. A server is given one computing thread, as threads that
spin would be counted too.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import bench
import peers

# Nothing is counted while a network is loaded, which takes a tenth of the time then.
# One that waits by spinning has to let the others go on.
VALGRIND = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--fair-sched=yes"]
TOTAL = re.compile(r"^(?:summary|totals): (\d+)$", re.MULTILINE)


class CountedServer(bench.Server):
    """A server every instruction of which is counted, with the services of a state directory."""

    def __init__(self, binary, engine, folder, state):
        self.counts = pathlib.Path(tempfile.mkdtemp(prefix="counts-", dir=folder))
        # Its own file for each server, and one more behind its name for each time that is asked for.
        valgrind = [*VALGRIND, f"--callgrind-out-file={self.counts}/out", f"--log-file={self.counts}/log"]
        super().__init__(binary, engine, folder, valgrind, ["--threads", "1"], state)

    def control(self, *action):
        subprocess.run(["callgrind_control", *action, str(self.pid)], check=True, capture_output=True)

    def count_from_here(self):
        self.control("--instr=on")

    def instructions(self, work):
        """What `work` answers, and the instructions of the server meanwhile."""
        self.control("--zero")
        before = set(self.counts.iterdir())
        done = work()
        self.control("--dump")
        new = [path for path in self.counts.iterdir() if path not in before]
        return done, sum(int(number) for path in new for number in TOTAL.findall(path.read_text())[-1:])


def per_item(server, bodies, clients, batch, seconds):
    # The first requests pay for pools and caches.
    bench.drive(server, bodies, clients, batch, 0.1)
    report, count = server.instructions(lambda: bench.drive(server, bodies, clients, batch, seconds))
    if report["failures"] or not count:
        raise SystemExit(f"{report['failures']} failures ({report['first_failure']}), {count} instructions")
    return count / (report["requests"] * batch)


def counted(binary, engine, network, repository, folder):
    # Created by a server that runs freely: a network is tried in a process of its own, which callgrind cannot follow.
    server = bench.Server(binary, engine, folder)
    bench.prepared(server, network, repository, folder)
    server.stop()
    # What a training wrote is tried at the first restart.
    bench.Server(binary, engine, folder, state=server.state).stop()
    server = CountedServer(binary, engine, folder, server.state)
    server.count_from_here()
    return server


def cells(binaries, engine, network, repository, folder, arguments):
    servers = [counted(binary, engine, network, repository, folder) for binary in binaries]
    for clients, batch in arguments.csv_cells if network == "csv" else arguments.cells:
        bodies = folder / "bodies"
        bodies.write_text("\n".join((bench.row_bodies if network == "csv" else bench.image_bodies)(batch)))
        yield clients, batch, [per_item(server, bodies, clients, batch, arguments.seconds) for server in servers]
    for server in servers:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--before", type=pathlib.Path, required=True, help="the other build")
    parser.add_argument("--engines", type=names, default=["onnxruntime", "rten"])
    parser.add_argument("--networks", type=names, default=[*bench.SIZES, "csv"])
    parser.add_argument("--cells", type=bench.cell_list, default="1x1,8x1,1x4", help="clients x images per request")
    parser.add_argument("--csv-cells", type=bench.cell_list, default="1x1,8x1,1x32", help="clients x rows per request")
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    peers.setup()
    bench.build_tools()
    print("| network | engine | clients × batch | million instructions/item | before | speed over before |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dede-instructions-") as name:
        folder = pathlib.Path(name)
        binaries = [bench.build("default", folder), arguments.before.resolve(strict=True)]
        for network in arguments.networks:
            repository = None if network == "csv" else bench.make_network(network, folder)
            for engine in arguments.engines:
                for clients, batch, (now, before) in cells(binaries, engine, network, repository, folder, arguments):
                    print(f"| {network} | {engine} | {clients} × {batch} | {now / 1e6:.3f} | {before / 1e6:.3f} | {before / now:.3f} |")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
