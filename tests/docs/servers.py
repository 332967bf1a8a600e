"""Servers of a document: started from the binary on ports of the system, with directories that go with the test.

It owns processes and calls. It must not know what documents say.
"""
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

DATA = pathlib.Path(__file__).resolve().parent.parent.parent / "crates/testing/fixtures/data"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
STEP_TIMEOUT_S = 60
OVER = ("done", "aborted", "rolled_back", "damaged")

CREATION = {"mllib": "caffe", "type": "supervised", "description": "irises", "parameters": {
    "input": {"connector": "csv"}, "mllib": {"template": "mlp", "layers": [16, 16], "activation": "relu", "nclasses": 3}}}
TRAINING = {"input": {"id": "id", "label": "target", "scale": True, "shuffle": True, "test_split": 0.2},
            "mllib": {"solver": {"iterations": 300, "base_lr": 0.05}, "net": {"batch_size": 30}}, "output": {"measure": ["acc", "f1"]}}


class Failed(Exception):
    """The stage could not be set, which is a fault of the test or of the server and not of a document."""


def wait_until(condition, what):
    deadline = time.monotonic() + STEP_TIMEOUT_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        # A pause between questions, not a guess how long something takes.
        time.sleep(0.02)
    raise Failed(f"{what} expected within {STEP_TIMEOUT_S} s")


def hold_port():
    """A socket that has a port of the system and does not listen: while it is open no other program is given the port, and the server,
    which says that it may be used again, can be restarted on it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


class Server:
    def __init__(self, name, binary, work, environment):
        self.name, self.binary, self.work, self.environment = name, binary, work, environment
        self.held, self.process, self.scheme = hold_port(), None, "http"
        self.port = self.held.getsockname()[1]

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self, arguments=("serve",)):
        """Starts with the arguments that a document gives, on this server's own port and state."""
        self.scheme = "https" if "--tls-cert" in arguments else "http"
        given = list(arguments)
        at = next((place for place, word in enumerate(given) if word in ("-port", "--port")), None)
        given[slice(at, at + 2) if at is not None else slice(len(given), None)] = ["--port", str(self.port)]
        with (self.work / f"{self.name}.log").open("a") as log:
            self.process = subprocess.Popen([self.binary, *given], cwd=self.work / "here", env=self.environment, stdout=log, stderr=log)
        wait_until(self.is_ready, f"{self.name} ({' '.join(given)}) ready")

    def is_ready(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}: {self.log()}")
        try:
            urllib.request.urlopen(f"{self.url}/readyz", timeout=5, context=ssl._create_unverified_context()).close()
        except OSError:
            return False
        return True

    def log(self):
        return "\n".join((self.work / f"{self.name}.log").read_text().splitlines()[-8:])

    def close(self):
        self.kill()
        self.held.close()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        """A clean end; the exit status is the server's word for it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not stop within {STOP_TIMEOUT_S} s: {self.log()}") from None
        if status != 0:
            raise Failed(f"{self.name} stopped with status {status}: {self.log()}")

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, method=method), timeout=STEP_TIMEOUT_S) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise Failed(f"{method} {path} of {self.name}: {error.code} {error.read().decode()[:500]}") from None
        except OSError as error:
            raise Failed(f"{method} {path} of {self.name}: {error}; {self.log()}") from None

    def train(self, name, repository, iterations):
        self.call("PUT", f"/services/{name}", {**CREATION, "model": {"repository": str(repository), "create_repository": True}})
        parameters = json.loads(json.dumps(TRAINING))
        parameters["mllib"]["solver"]["iterations"] = iterations
        self.call("POST", "/train", {"service": name, "async": False, "parameters": parameters, "data": [str(DATA / "iris.csv")]})

    def create(self, name, repository, connector="csv"):
        parameters = {"input": {"connector": connector}}
        self.call("PUT", f"/services/{name}", {"mllib": "caffe", "parameters": parameters, "model": {"repository": str(repository)}})

    def names(self):
        return [service["name"] for service in self.call("GET", "/info")["head"]["services"]]

    def moves(self):
        return self.call("GET", "/moves")["body"]

    def forget_all(self):
        """Ends moves, then removes aliases and services; files stay."""
        for move in self.moves():
            if move["phase"] not in OVER:
                self.call("POST", f"/moves/{move['id']}/abort")
        wait_until(lambda: all(move["phase"] in OVER for move in self.moves()), "the end of all moves")
        for alias in self.call("GET", "/aliases")["body"]:
            self.call("DELETE", f"/aliases/{alias}")
        for name in self.names():
            self.call("DELETE", f"/services/{name}")


def copy_files(work):
    """What documents call /data and /models/…: tables, an image, a network of images, a repository that DeepDetect trained."""
    (work / "data").mkdir()
    for table in ("iris.csv", "iris_test.csv"):
        shutil.copy(DATA / table, work / "data")
    shutil.copy(DATA / "shapes/triangle/triangle00.jpg", work / "data/cat.jpg")
    shutil.copytree(DATA.parent / "models/imgsq", work / "models/imgsq")
    shutil.copytree(DATA.parent / "models/iris", work / "models/original")
