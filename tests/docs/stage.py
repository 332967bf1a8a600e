"""The stage on which the statements of a document run: servers called dev, prod and localhost, files, and what each statement needs.

It owns what a document's names stand for, and what has to be so before a statement. It must not know how statements are run.
"""
import http.server
import json
import os
import re
import subprocess
import threading

import finder
from servers import OVER, Failed, Server, copy_files, wait_until
from shell import write_stand_ins

# What has to be so before a statement that matches, first match first; a statement that matches none needs nothing.
SCENES = [
    (r"dede resume .*--relay", "interrupted_relay"),
    (r"dede resume ", "interrupted_move"),
    (r"dede (promote|abort) |/moves/m1/(promote|abort)", "waiting_move"),
    (r"dede (move|plan) |\$PROD/moves -d", "former_service"),
    (r"dede verify |/certificate", "certificate"),
    (r"PUT http://dev:8080/services/service1", "former_service"),
    (r"DELETE .*/services/service1-1a2b3c4d", "forward_again"),
    (r"PUT localhost:8080/services/service1 ", "no_service1"),
    (r"/chain/", "services_of_a_chain"),
    (r'"service": "imageserv"', "image_service"),
]
# Commands that wait for a person: `dede promote`.
WAIT_FOR_PROMOTE = r"dede (move|apply|resume) "
HOST = re.compile(r"(?:https?://)?\b(dev|prod|old|localhost)(?:\.example)?:\d+")
DIRECTORY = re.compile(r"(?<![\w./-])(?=/(?:etc/dede|models|srv|data|var/lib/dede)\b)")
MOVE = {"service": "service2", "source": "dev", "as": "service1", "shadow_for_s": 1, "watch_for_s": 1}

# The body of a PUT that creates a service from what DeepDetect trained: the bounds are those that its training answered.
ORIGINAL = {"mllib": "caffe", "model": {}, "parameters": {"mllib": {"nclasses": 3}, "input": {
    "connector": "csv", "scale": True, "min_vals": [4.3, 2.0, 1.0, 0.1], "max_vals": [7.9, 4.4, 6.9, 2.5]}}}


class Stage:
    def __init__(self, binary, work):
        self.binary, self.work, self.move = binary, work, None
        for directory in ("here", "home/.config/dede", "etc/dede", "models", "srv/models", "srv/data", "var/lib"):
            (work / directory).mkdir(parents=True)
        copy_files(work)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEDE_", "XDG_"))}
        self.environment = {**kept, "HOME": str(work / "home"), "XDG_CONFIG_HOME": str(work / "home/.config"),
                            "XDG_STATE_HOME": str(work / "state"), "PATH": f"{write_stand_ins(work, binary)}:{os.environ['PATH']}"}
        self.dev, self.prod, self.localhost = (Server(name, binary, work, self.environment) for name in ("dev", "prod", "localhost"))
        self.servers = {"dev": self.dev, "prod": self.prod, "localhost": self.localhost, "old": self.localhost}
        self.environment["PROD"] = self.prod.url
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), picture_handler((work / "data/cat.jpg").read_bytes()))

    def set(self):
        self.write_configuration()
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        for server in (self.dev, self.prod, self.localhost):
            server.start()
        self.dev.train("service2", self.work / "models/service2", 300)
        self.prod.train("service1", self.work / "models/former", 100)
        self.localhost.create("service1", self.work / "models/former")

    def write_configuration(self):
        peers = "".join(f'[peers.{server.name}]\nurl = "{server.url}"\n' for server in (self.dev, self.prod))
        for place in (self.work / "home/.config/dede", self.work / "here"):
            (place / "dede.toml").write_text(peers)
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                   "-subj", "/CN=prod", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run(command, cwd=self.work / "etc/dede", check=True, capture_output=True)
        here = self.work / "here"
        (here / "ca.pem").write_bytes((self.work / "etc/dede/cert.pem").read_bytes())
        (here / "put.json").write_text(json.dumps(ORIGINAL))
        (here / "rows.csv").write_text("5.1,3.5,1.4,0.2\n6.7,3.1,5.6,2.4\n")
        for name in ("dev.token", "prod.token"):
            (here / name).write_text(os.urandom(32).hex())
            (here / name).chmod(0o600)

    def clear(self):
        self.web.shutdown()
        self.web.server_close()
        for server in (self.dev, self.prod, self.localhost):
            server.close()

    def prepare(self, text):
        scene = next((scene for pattern, scene in SCENES if re.search(pattern, text)), None)
        if scene is not None:
            getattr(self, scene)()

    def adapt(self, text):
        """The statement with what its names stand for here. Times are shortened, nothing else is changed."""
        text = HOST.sub(lambda found: self.address(found[1], "://" in found[0]), text)
        text = text.replace("https://example.org/dog.png", f"http://127.0.0.1:{self.web.server_port}/dog.png")
        text = text.replace("registry.example/", f"127.0.0.1:{self.dev.port}/")
        text = re.sub(r"--from-dir (DIR|/models/iris)\b", f"--from-dir {self.work}/models/original", text)
        text = DIRECTORY.sub(str(self.work), text)
        text = re.sub(r"\b(ID|m1)\b", self.move or "m1", text)
        text = re.sub(r"--key [0-9a-f]{64}", lambda _: f"--key {self.key()}", text)
        text = re.sub(r"service1-1a2b3c4d", lambda _: self.former(), text)
        text = re.sub(r'_for_s": \d+', '_for_s": 1', text)
        text = re.sub(r" …$", "", text)
        return re.sub(r"\bdede (move|plan) (?!.*--(watch|shadow)-for)", r"dede \1 --shadow-for 1s --watch-for 1s ", text)

    def address(self, name, with_scheme):
        server = self.servers[name]
        return server.url if with_scheme else f"127.0.0.1:{server.port}"

    def key(self):
        return json.loads((self.work / "here/certificate.json").read_text())["public_key"]

    def former(self):
        return next(name for name in self.prod.names() if name.startswith("service1-"))

    # Scenes.

    def former_service(self):
        """prod serves the former network as service1, and has nothing else."""
        self.prod.forget_all()
        self.prod.create("service1", self.work / "models/former")

    def waiting_move(self):
        self.former_service()
        self.move = self.prod.call("POST", "/moves", MOVE)["body"]["id"]
        self.until(can_be_promoted, "a move that can be promoted")

    def interrupted_move(self):
        self.waiting_move()
        self.restart_prod()

    def interrupted_relay(self):
        """The command that relays and prod were gone."""
        self.former_service()
        known = len(self.prod.moves())
        command = [self.binary, "move", "service2", "--from", "dev", "--to", "prod", "--as", "service1", "--shadow-for", "1s",
                   "--watch-for", "1s", "--relay"]
        with subprocess.Popen(command, cwd=self.work / "here", env=self.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as relay:
            try:
                self.move = wait_until(lambda: self.prod.moves()[known:], "a relayed move")[0]["id"]
                self.until(can_be_promoted, "a move that can be promoted")
            finally:
                relay.kill()
        self.restart_prod()

    def restart_prod(self):
        self.prod.kill()
        self.prod.start()
        self.until(lambda move: move["waits_for"] == "resume", "a move that waits for resume")

    def certificate(self):
        """The newest move is over; its certificate is a file where the statement may read it."""
        self.until(lambda move: move["phase"] in OVER, "the end of the move")
        done = [move["id"] for move in self.prod.moves() if move["phase"] == "done"]
        if not done:
            raise Failed("a move that is done expected before this statement")
        self.move = done[-1]
        file = self.work / "here/certificate.json"
        # What an earlier statement wrote is what a later one has to verify.
        if not file.exists():
            file.write_text(json.dumps(self.prod.call("GET", f"/moves/{self.move}/certificate")))

    def forward_again(self):
        """After a rollback the former service is the target of the alias, which cannot be deleted."""
        self.prod.call("POST", "/aliases/service1/rollback")

    def no_service1(self):
        self.localhost.call("DELETE", "/services/service1")

    def image_service(self):
        if "imageserv" not in self.localhost.names():
            self.localhost.create("imageserv", self.work / "models/imgsq", "image")

    def services_of_a_chain(self):
        self.image_service()
        if "finder" not in self.localhost.names():
            finder.write(self.work / "models/finder")
            self.localhost.call("PUT", "/services/finder", {"mllib": "onnx", "model": {"repository": str(self.work / "models/finder")}, "parameters": {
                "input": {"connector": "image", "width": 32, "height": 8}, "mllib": {"nclasses": 2}}})

    def until(self, condition, what):
        wait_until(lambda: condition(self.prod.call("GET", f"/moves/{self.move}")["body"]), what)

    def promote_until(self, over):
        """A person who promotes each move once, until the event is set."""
        promoted = set()
        while not over.wait(0.05):
            for move in self.prod.moves():
                if can_be_promoted(move) and move["id"] not in promoted:
                    promoted.add(move["id"])
                    self.promote(move["id"])

    def promote(self, move):
        try:
            self.prod.call("POST", f"/moves/{move}/promote")
        except Failed:
            # It ended meanwhile: the command that follows it says how, and its exit status is looked at.
            pass

    def note_newest_move(self):
        moves = self.prod.moves()
        self.move = moves[-1]["id"] if moves else None


def can_be_promoted(move):
    """The new service is verified. The comparison, which takes two seconds at least, need not be over."""
    return move["waits_for"] == "promote" or move["phase"] == "shadowing" and move["waits_for"] is None


def picture_handler(content):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler
