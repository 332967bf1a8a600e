"""Executes the shell blocks of one document in order, on one stage and in one shell, and loads its configuration files.

It owns which statements are executed, and what counts as a failure. Statements that are not executed are in `NOT_EXECUTED`, each
with its reason.
"""
import re
import shlex
import threading

from markdown import SHELL, statements
from servers import Failed, Server
from shell import Shell
from stage import HOST, WAIT_FOR_PROMOTE, Stage

NOT_EXECUTED = [
    (r"cargo run .*-- demo", "a test of crates/server/tests/it/commands.rs runs the demo"),
    (r"cargo ", "builds the workspace, or runs its tests"),
    (r"just ", "recipes call cargo"),
    (r"skopeo |oras |crane ", "tests/clients/oci.py runs clients of registries"),
    (r"dede engine install", "downloads ONNX Runtime"),
    (r"(sudo )?(docker|podman|systemctl|journalctl|apt-get|apt|pip|npm|git|helm|kubectl) ", "wants a network, or changes the machine"),
]
# The second is how DeepDetect is started.
SERVES = re.compile(r"dede (serve|-host|-port)\b(?!.*--help)")


class Ended(Exception):
    """The shell of the document is gone; the fault was noted."""


class Story:
    """What became of a document: faults, statements that were executed and those that were not."""

    def __init__(self, document, binary, work):
        self.document, self.binary, self.work = document, binary, work
        self.faults, self.skipped, self.executed = [], [], 0

    def tell(self):
        self.stage = Stage(self.binary, self.work)
        self.shell = Shell(self.work, self.stage.environment)
        try:
            self.stage.set()
            for block in self.document.blocks:
                if block.language in SHELL:
                    self.play(block)
                elif block.language == "toml" and "…" not in block.text:
                    self.load(block)
            for server in (self.stage.dev, self.stage.prod, self.stage.localhost):
                server.stop()
        except Failed as error:
            self.faults.append(f"{self.document.name}: the stage expected, found: {error}")
        except Ended:
            pass
        finally:
            self.shell.close()
            self.stage.clear()
        return self

    def play(self, block):
        self.served = None
        for statement in statements(block):
            reason = next((reason for pattern, reason in NOT_EXECUTED if re.match(pattern, statement.text)), None)
            if reason is not None:
                self.skipped.append((f"{self.document.name}:{statement.line}", first_line(statement), reason))
                continue
            try:
                self.stage.prepare(statement.text)
                for text in variants(statement.text):
                    self.execute(block, statement, self.stage.adapt(text))
            except Failed as error:
                self.faults.append(f"{self.document.name}:{statement.line}: {error}")
        if self.served is not None:
            self.exchange(self.served, ["serve"])

    def execute(self, block, statement, text):
        self.executed += 1
        if SERVES.match(text):
            self.served = server_of(block, self.stage)
            self.exchange(self.served, shlex.split(text.replace("\\\n", ""))[1:])
            return
        promoted = threading.Event()
        person = threading.Thread(target=self.stage.promote_until, args=[promoted]) if re.search(WAIT_FOR_PROMOTE, text) else None
        if person:
            person.start()
        status, output = self.shell.run(text)
        promoted.set()
        if person:
            person.join()
            self.stage.note_newest_move()
        elif "/moves -d" in text:
            self.stage.note_newest_move()
        self.judge(statement, status, output)

    def judge(self, statement, status, output):
        """A statement has to succeed, unless its comment says that it is refused."""
        refused = "refused" in statement.comment
        if status is not None and (status != 0) == refused:
            return
        wanted = "a refusal" if refused else "exit status 0"
        found = f"{status}" if status is not None else "no end in time, or the end of the shell (the rest of the document is not executed)"
        shown = " | ".join(output.splitlines()[-12:])[-1500:]
        place = f"{self.document.name}:{statement.line}"
        self.faults.append(f"{place}: {wanted} of `{first_line(statement)}` expected, found {found}: {shown}")
        if status is None:
            raise Ended

    def exchange(self, server, arguments):
        """Starts a server as the document says, in the place of the one that was there; where it does not start, that one is back."""
        server.stop()
        try:
            server.start(arguments)
        except Failed:
            server.kill()
            server.start()
            raise
        finally:
            (self.work / "served.pid").write_text(f"{server.process.pid}\n")

    def load(self, block):
        """A server has to accept the configuration."""
        self.executed += 1
        (self.work / "here/shown.toml").write_text(block.text)
        server = Server("configured", self.binary, self.work, self.stage.environment)
        try:
            server.start(["serve", "--config", "shown.toml"])
            server.stop()
        except Failed as error:
            self.faults.append(f"{self.document.name}:{block.line}: a configuration that a server accepts expected, found: {error}")
        finally:
            server.close()


def variants(text):
    """`[ID]` may be left out: the statement without it, and with it."""
    return [text.replace("[ID] ", ""), text.replace("[ID]", "ID")] if "[ID]" in text else [text]


def server_of(block, stage):
    """The server that a block starts is the one that its other statements call."""
    called = HOST.search(block.text)
    return stage.servers[called[1] if called else "localhost"]


def first_line(statement):
    return statement.text.splitlines()[0]
