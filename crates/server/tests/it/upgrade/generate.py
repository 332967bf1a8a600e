"""Writes `files`: what two servers leave behind that were used for a while, and what the clients of one were answered before it stopped.

    python3 generate.py BINARY files

BINARY is a release whose records later versions have to read; `files` is replaced whole. A development server `dev` has
trained services. A production server `prod` took one of them over in moves that are done, are on watch, wait for a promotion and were rolled
back, and has aliases with a history, a canary, a shadow and a target on the other server. Paths are written as `@D@` and `@DATA@`, the
address of `dev` as `@DEV@`; certificates, which are signed, stay as they are.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BINARY, FILES = sys.argv[1], pathlib.Path(sys.argv[2])
DATA = pathlib.Path(__file__).resolve().parents[4] / "testing/fixtures/data"
ROW = "5.1,3.5,1.4,0.2"
OVER = ("done", "aborted", "rolled_back")


class Server:
    def __init__(self, folder, peers):
        self.folder = folder
        (folder / "config/dede").mkdir(parents=True)
        (folder / "config/dede/dede.toml").write_text("".join(f'[peers.{name}]\nurl = "{url}"\n' for name, url in peers.items()))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [BINARY, "serve", "--port", str(port), "--state-dir", folder / "state", "--engine", "rten"]
        self.process = subprocess.Popen(command, env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config")},
                                        stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"))
        until("the server is ready", lambda: self.is_ready())

    def is_ready(self):
        try:
            urllib.request.urlopen(f"{self.url}/readyz", timeout=5).close()
            return True
        except OSError:
            return False

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, method=method), timeout=100) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}")

    def train(self, name, network, kind="supervised", target="target"):
        parameters = {"input": {"connector": "csv"}, "mllib": network}
        self.call("PUT", f"/services/{name}", {
            "mllib": "caffe", "description": f"made for {name}", "type": kind, "parameters": parameters,
            "model": {"repository": str(self.folder / name), "create_repository": True}})
        self.call("POST", "/train", {
            "service": name, "async": False, "data": [str(DATA / "iris.csv")],
            "parameters": {"input": {"label": target, "id": "id", "scale": True, "shuffle": True, "test_split": 0.2, "seed": 1},
                           "mllib": {"solver": {"iterations": 100, "base_lr": 0.05, "solver_type": "ADAM"}, "net": {"batch_size": 30}},
                           "output": {"measure": ["acc", "mcll"]}}})

    def predict(self, name):
        return self.call("POST", "/predict", {"service": name, "data": [ROW], "parameters": {"output": {"best": 3}}})["body"]

    def move(self, service, name, **more):
        begun = self.call("POST", "/moves", {"service": service, "source": "dev", "as": name, "who": "an engineer", **more})
        return begun["body"]["id"]

    def phase(self, number):
        return self.call("GET", f"/moves/{number}")["body"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            raise SystemExit(f"the server ended with {self.process.returncode}")


def until(what, holds, shown=lambda: ""):
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited for: {what} {shown()}")
        time.sleep(0.05)


def used(folder):
    dev = Server(folder / "dev", {})
    for number, name in enumerate(("service2", "third", "fourth", "fifth")):
        dev.train(name, {"template": "mlp", "layers": [6 + number], "nclasses": 3})
    prod = Server(folder / "prod", {"dev": dev.url})
    for name in ("service1", "first", "second"):
        prod.train(name, {"template": "lregression", "nclasses": 3})
    prod.call("PUT", "/services/untrained", {
        "mllib": "caffe", "description": "", "type": "supervised", "model": {"repository": str(folder / "prod/untrained"), "create_repository": True},
        "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "mlp", "nclasses": 2}, "output": {"best": 1}}})
    for name in ("watched", "waiting", "undone"):
        prod.call("PUT", f"/aliases/{name}", {"service": "first"})
    # A history, and parts of the requests for others.
    prod.call("PUT", "/aliases/stable", {"service": "first"})
    prod.call("PUT", "/aliases/stable", {"service": "second", "canary": {"service": "first", "percent": 0}, "shadow": {"service": "first", "percent": 50}})
    prod.call("PUT", "/aliases/far", {"service": "service2", "peer": "dev"})
    # Done, with the former service out of memory.
    done = prod.move("service2", "service1", auto=True, replace_first=True, watch_for_s=0)
    until("done", lambda: prod.phase(done)["phase"] in OVER)
    undone = prod.move("third", "undone", auto=True, shadow_for_s=0, watch_for_s=600)
    until("on watch", lambda: prod.phase(undone)["phase"] == "watching", lambda: prod.phase(undone))
    prod.call("POST", f"/moves/{undone}/rollback")
    until("rolled back", lambda: prod.phase(undone)["phase"] in OVER)
    watched = prod.move("fourth", "watched", auto=True, shadow_for_s=0, watch_for_s=86_400)
    until("on watch", lambda: prod.phase(watched)["phase"] == "watching", lambda: prod.phase(watched))
    waiting = prod.move("fifth", "waiting", shadow_for_s=1)
    until("waits for a promotion", lambda: prod.phase(waiting)["waits_for"] == "promote", lambda: prod.phase(waiting))
    moves = {"done": done, "undone": undone, "watched": watched, "waiting": waiting}
    answers = answered(prod)
    prod.stop()
    dev.stop()
    return dev.url, {"moves": moves, **answers}


def answered(prod):
    names = [service["name"] for service in prod.call("GET", "/info")["head"]["services"]]
    aliases = prod.call("GET", "/aliases")["body"]
    loaded = [name for name in names if name != "untrained" and not is_unloaded(prod, name)]
    return {
        "services": {name: prod.call("GET", f"/services/{name}")["body"] for name in names},
        "aliases": {name: prod.call("GET", f"/aliases/{name}")["body"] for name in aliases},
        "predictions": {name: prod.predict(name) for name in [*loaded, *aliases]},
    }


def is_unloaded(prod, name):
    return "version" not in prod.call("GET", f"/services/{name}")["body"]


def main():
    with tempfile.TemporaryDirectory(prefix="dede-upgrade-") as name:
        folder = pathlib.Path(name)
        url, answers = used(folder)
        shutil.rmtree(FILES, ignore_errors=True)
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if not path.is_file() or inside.parts[1] in ("config", "log") or path.name == "lock":
                continue
            content = path.read_bytes()
            if path.suffix in (".json", "") and path.name != "certificate.json":
                content = content.replace(str(folder).encode(), b"@D@").replace(url.encode(), b"@DEV@").replace(str(DATA).encode(), b"@DATA@")
            (FILES / inside).parent.mkdir(parents=True, exist_ok=True)
            (FILES / inside).write_bytes(content)
        text = json.dumps(answers, indent=1, ensure_ascii=False).replace(str(folder), "@D@").replace(url, "@DEV@")
        (FILES / "answers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
