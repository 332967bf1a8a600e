#!/usr/bin/env python3
"""Starts a `dede` on a free port with temporary directories and drives it with every client of this folder.

    python3 tests/clients/run.py target/debug/dede

Installs the clients as package-lock.json says where node_modules is missing. Exit status 0: every client was content and
the server stopped cleanly.
"""
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent.parent / "crates/testing/fixtures/data"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(server, url, path="/readyz"):
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode} before it was ready")
        try:
            urllib.request.urlopen(f"{url}{path}", timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{url} was not ready within {START_TIMEOUT_S} s")


def install_clients():
    if not (HERE / "node_modules").is_dir():
        npm = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(npm, cwd=HERE, check=True)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    binary = pathlib.Path(sys.argv[1]).resolve()
    install_clients()
    with tempfile.TemporaryDirectory() as work:
        url = f"http://127.0.0.1:{free_port()}"
        state, log = pathlib.Path(work, "state"), pathlib.Path(work, "server.log")
        with log.open("w") as output:
            command = [binary, "serve", "--port", url.rsplit(":", 1)[1], "--state-dir", state]
            server = subprocess.Popen(command, stdout=output, stderr=output)
        failed = True
        try:
            wait_until_ready(server, url)
            clients = subprocess.run(["node", HERE / "deepdetect-js.mjs", url, DATA, work])
            server.send_signal(signal.SIGTERM)
            stopped = server.wait(STOP_TIMEOUT_S)
            print(f"clients: exit status {clients.returncode}; server: exit status {stopped}")
            failed = clients.returncode != 0 or stopped != 0
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
            if failed:
                print(f"--- server log ---\n{log.read_text()}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
