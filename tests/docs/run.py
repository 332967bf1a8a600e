#!/usr/bin/env python3
"""Executes what README.md and docs/*.md show, and the examples, with a binary.

    python3 tests/docs/run.py target/debug/dede

Needs bash, curl, openssl and node. Exit status 0: everything that is shown works. What is not executed is printed with its reason.
"""
import concurrent.futures
import pathlib
import sys
import tempfile
import time

import checks
import examples
from markdown import SHELL, Document
from story import Story

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def documents():
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
    return [Document(path, ROOT) for path in paths]


def without_a_server(read, binary, skipped):
    known = checks.Options(binary)
    faults = []
    for document in read:
        faults += checks.languages(document) + checks.notations(document, skipped)
        faults += checks.options(document, known) + checks.links(document)
    return faults


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    begin, binary = time.monotonic(), pathlib.Path(sys.argv[1]).resolve(strict=True)
    read, skipped, executed = documents(), [], 0
    faults = without_a_server(read, binary, skipped)
    told = [document for document in read if any(block.language in SHELL for block in document.blocks)]
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(len(told) + 1) as pool:
        stories = [Story(document, binary, pathlib.Path(work, document.path.stem)) for document in told]
        stories.append(examples.Examples(ROOT / "examples", binary, pathlib.Path(work, "examples")))
        for story in pool.map(lambda story: story.tell(), stories):
            faults += story.faults
            skipped += story.skipped
            executed += story.executed
    for place, what, reason in skipped:
        print(f"not executed: {place}: {what}: {reason}", flush=True)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(read)} documents, {executed} statements and examples executed, {len(skipped)} not, {len(faults)} faults, "
          f"{time.monotonic() - begin:.0f} s")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
