#!/usr/bin/env python3
"""Runs the server's tests with a binary that was built before a repair: the tests of the repair have to fail with it.

    cargo test -p dede --test it --no-run
    python3 tests/before.py ../before/target/release/dede attack:: cases:: keys::

Each test runs alone, with a bound of time and memory, since what was repaired may have taken both without end. Prints one line for each:
`fails` with the first line of its reason, or `passes`.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMORY = 8 << 30


def tests():
    """The file with the server's tests."""
    command = ["cargo", "test", "-p", "dede", "--test", "it", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    built = [json.loads(line) for line in lines]
    return next(entry["executable"] for entry in built if entry.get("executable") and entry["target"]["name"] == "it")


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run(executable, name, arguments):
    command = [executable, "--exact", name, "--nocapture"]
    environment = {**os.environ, "DEDE_TEST_BINARY": str(arguments.binary), "RUST_BACKTRACE": "0"}
    process = subprocess.Popen(command, cwd=ROOT / "crates/server", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               preexec_fn=limit, start_new_session=True)
    try:
        output = process.communicate(timeout=arguments.seconds)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return name, f"no end within {arguments.seconds} s"
    if process.returncode == 0:
        return name, None
    reason = re.search(r"panicked at [^\n]*\n([^\n]*)", output)
    return name, reason[1] if reason else f"ended with {process.returncode}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=lambda text: pathlib.Path(text).resolve(strict=True))
    parser.add_argument("filters", nargs="*", default=[""], help="beginnings of names of tests")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--at-once", type=int, default=2)
    arguments = parser.parse_args()
    executable = tests()
    listed = subprocess.run([executable, "--list", "--format", "terse"], check=True, capture_output=True, text=True).stdout
    names = [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]
    chosen = [name for name in names if name.startswith(tuple(arguments.filters))]
    passed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        for name, reason in pool.map(lambda name: run(executable, name, arguments), chosen):
            passed += reason is None
            print(f"passes  {name}" if reason is None else f"fails   {name}: {reason[:200]}", flush=True)
    print(f"{len(chosen) - passed} of {len(chosen)} fail, {passed} pass")


if __name__ == "__main__":
    main()
