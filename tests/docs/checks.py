"""Checks of documents that need no server: languages of blocks, JSON and TOML, options of `dede`, links and anchors.

Each check returns faults, texts that begin with `file:line:` and say what was expected and found.
"""
import json
import re
import subprocess
import tomllib

from markdown import SHELL, Document, statements

LANGUAGES = {"sh", "bash", "console", "json", "toml", "text", "mermaid"}
# Options of other programs, and words that only look like one, in spans that do not begin with a program's name.
NOT_OF_DEDE = {
    "--seconds": "benches/bench.py", "--rounds": "benches/bench.py",
    "--parts": "benches/move.py", "--pairs": "benches/move.py", "--turns": "benches/move.py",
    "--features": "cargo",
    "--flag": "how gflags writes an option", "--noflag": "how gflags writes an option",
}
OTHER_PROGRAMS = ("python3", "cargo", "just", "docker", "systemctl", "git", "pip", "npm", "node", "curl", "skopeo", "oras", "helm")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def languages(document):
    faults = []
    if document.unclosed:
        faults.append(f"{document.name}:{document.unclosed}: the end of the block expected, found the end of the file")
    for block in document.blocks:
        if block.language not in LANGUAGES:
            wanted, found = ", ".join(sorted(LANGUAGES)), block.language or "no language"
            faults.append(f"{document.name}:{block.line - 1}: a block in one of {wanted} expected, found {found}")
    return faults


def notations(document, skipped):
    """JSON and TOML have to parse. A block with `…` leaves something out: it is counted as skipped."""
    faults = []
    for block in document.blocks:
        if block.language not in ("json", "toml"):
            continue
        if "…" in block.text:
            skipped.append((f"{document.name}:{block.line}", f"{block.language} block", "it leaves something out (…)"))
            continue
        try:
            json.loads(block.text) if block.language == "json" else tomllib.loads(block.text)
        except ValueError as error:
            faults.append(f"{document.name}:{block.line}: {block.language} expected, found: {error}")
    return faults


class Options:
    """What `--help` of the binary and of each of its commands lists."""

    def __init__(self, binary):
        self.binary, self.known = binary, {}
        self.read([])
        self.all = set().union(*self.known.values())

    def read(self, words):
        text = subprocess.run([self.binary, *words, "--help"], capture_output=True, text=True, check=True).stdout
        self.known[" ".join(words)] = set(OPTION.findall(text))
        listed = re.search(r"^Commands:\n((?: +.*\n)+)", text, re.MULTILINE)
        for command in re.findall(r"^  (\w+)", listed[1], re.MULTILINE) if listed else []:
            self.read([*words, command])

    def of(self, words):
        """Options of the longest command that the words begin with."""
        names = [" ".join(words[:count]) for count in (2, 1)]
        return next((self.known[name] for name in names if name in self.known), None)


def options(document, known):
    """Options in code spans, and in comments of shell blocks. Those of statements are tried by executing them."""
    comments = [statement for block in document.blocks if block.language in SHELL for statement in statements(block)]
    faults = []
    for line, span in document.spans() + [(statement.line, statement.comment) for statement in comments]:
        words = span.split()
        if not words or words[0] in OTHER_PROGRAMS:
            continue
        wanted, whose = known.all | set(NOT_OF_DEDE), "dede"
        if words[0] == "dede" and len(words) > 1 and words[1].isalpha():
            wanted, whose = known.of(words[1:]), " ".join(words[:2])
            if wanted is None:
                faults.append(f"{document.name}:{line}: a command of dede expected, found {words[1]!r}")
                continue
        faults += [f"{document.name}:{line}: an option of {whose} expected, found {option}"
                   for option in OPTION.findall(span) if option not in wanted]
    return faults


def links(document):
    """Links to other places of the web are not asked: a test of documents must not depend on them."""
    faults = []
    for line, link in document.links():
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.path.parent / path).resolve() if path else document.path
        if not target.exists():
            faults.append(f"{document.name}:{line}: a file expected, found the link {link}")
        elif anchor and target.suffix == ".md" and anchor not in Document(target, document.root).anchors():
            faults.append(f"{document.name}:{line}: a heading #{anchor} in {target.name} expected, found none")
    return faults
