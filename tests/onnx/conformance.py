#!/usr/bin/env python3
"""ONNX's own backend tests, run by every engine.

    python3 tests/onnx/conformance.py target/debug/examples/onnx_conformance [--update] [--data FOLDER] [--verbose]

Takes the tests out of the Python package `onnx` (from PyPI, kept in target/), unless a FOLDER with them is named. Compares the outcome
with expected.txt beside this script: a line for each test, with what comes of it in each engine. `pass` is the right answer, `refused`
an error instead of one. An answer that is wrong, or an engine that panics or ends the process, is never expected. `--update` writes the
expectation; `--verbose` shows why tests are refused. Exit status 0: all is as expected.
"""
import argparse
import difflib
import pathlib
import subprocess
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected.txt"
CACHE = HERE.parent.parent / "target/onnx"
# Later ones hold no test data any more, or operators that no engine here has.
PACKAGE = "onnx==1.22.0"
DATA = "onnx/backend/test/data/"
KINDS = ["node", "simple", "pytorch-operator", "pytorch-converted"]
ENGINES = ["rten", "onnxruntime"]
# Their answers are drawn at random: every right engine gives others than the file.
RANDOM = ["bernoulli", "dropout_random", "training_dropout", "randomnormal", "randomuniform", "multinomial"]
# A test that takes longer than all tests together should hangs.
TIMEOUT_S = 900


def download():
    """The folder of the tests, out of the package of the platform that pip finds."""
    if not (CACHE / "complete").is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--only-binary=:all:", "--dest", CACHE, PACKAGE], check=True)
        [wheel] = CACHE.glob("onnx-*.whl")
        with zipfile.ZipFile(wheel) as package:
            package.extractall(CACHE, [name for name in package.namelist() if name.startswith(DATA)])
        (CACHE / "complete").touch()
    return CACHE / DATA


def tests_in(data):
    folders = [model.parent for kind in KINDS for model in (data / kind).glob("*/model.onnx")]
    folders = [folder for folder in folders if not any(word in folder.name for word in RANDOM)]
    return sorted(folders, key=lambda folder: folder.name)


def run(runner, engine, folders):
    """Outcome and reason of each test by name. A test that ends the process is found out, and the others go on."""
    outcomes, left = {}, list(folders)
    while left:
        done = subprocess.run([runner, engine, *left], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S)
        lines = done.stdout.decode(errors="replace").splitlines()
        for line in lines:
            name, outcome, *reason = line.split("\t")
            outcomes[name] = (outcome, *reason)
        if not lines and done.returncode == 1:
            sys.exit(f"{engine}: {done.stderr.decode(errors='replace')}")
        left = left[len(lines):]
        if left:
            outcomes[left.pop(0).name] = ("wrong", f"the process ended with {done.returncode}")
    return outcomes


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("runner", type=pathlib.Path)
    arguments.add_argument("--update", action="store_true")
    arguments.add_argument("--data", type=pathlib.Path)
    arguments.add_argument("--verbose", action="store_true")
    options = arguments.parse_args()
    folders = tests_in(options.data or download())
    found = {engine: run(options.runner.resolve(), engine, folders) for engine in ENGINES}
    lines, wrong = [], []
    for folder in folders:
        outcomes = [found[engine][folder.name] for engine in ENGINES]
        lines.append(" ".join([folder.name.removeprefix("test_"), *(outcome[0] for outcome in outcomes)]))
        for engine, outcome in zip(ENGINES, outcomes):
            if options.verbose and len(outcome) > 1:
                print(folder.name, engine, *outcome)
            if outcome[0] == "wrong":
                wrong.append(f"{folder.name}, {engine}: {outcome[1]}")
    for engine in ENGINES:
        of = [outcome[0] for outcome in found[engine].values()]
        print(f"{engine}: {', '.join(f'{of.count(kind)} {kind}' for kind in ['pass', 'refused', 'wrong'])}")
    if wrong:
        sys.exit("wrong answers:\n" + "\n".join(wrong))
    if options.update:
        EXPECTED.write_text("\n".join(lines) + "\n")
    expected = EXPECTED.read_text().splitlines() if EXPECTED.is_file() else []
    difference = list(difflib.unified_diff(expected, lines, "expected", "found", lineterm="", n=0))
    if difference:
        sys.exit("\n".join(difference))


main()
