"""Runs each example against servers that serve and train, and looks for what its output must have.

It owns how each example is called. A file in examples/ that is not called here, or not in its README, is a fault.
"""
import json
import subprocess

from servers import DATA, STEP_TIMEOUT_S, TRAINING, Failed
from stage import Stage

ROW = "5.1,3.5,1.4,0.2"


class Examples:
    def __init__(self, directory, binary, work):
        self.directory, self.binary, self.work = directory, binary, work
        self.faults, self.skipped, self.executed = [], [], 0

    def tell(self):
        self.stage = Stage(self.binary, self.work)
        try:
            self.stage.set()
            self.check_names(self.calls())
            for name, (program, arguments, wanted) in self.calls().items():
                self.run(name, program, arguments, wanted)
        except Failed as error:
            self.faults.append(f"examples: the stage expected, found: {error}")
        finally:
            self.stage.clear()
        return self

    def calls(self):
        """Of each example: the program that runs it, its arguments, and what its output must have."""
        dev, prod = self.stage.dev, self.stage.prod
        answer = ["service1@sha256:", "class 0: 0.9"]
        return {
            "clients/predict.py": ("python3", [prod.url, "service1", ROW], answer),
            "clients/predict.mjs": ("node", [prod.url, "service1", ROW], answer),
            "clients/predict.sh": ("sh", [prod.url, "service1", ROW], ["service1@sha256:", '"cat":"0"']),
            "clients/watch.py": ("python3", [dev.url, "service2", self.begin_training], ["acc=", "finished"]),
            "clients/move.py": ("python3", [prod.url, dev.url, "service2", "service1"], ["m1 copying", "m1 switching", "m1 done"]),
        }

    def begin_training(self):
        """Long enough that there is something to follow."""
        parameters = {**TRAINING, "mllib": {"resume": True, "solver": {"iterations": 10000, "base_lr": 0.05}, "net": {"batch_size": 30}}}
        call = {"service": "service2", "async": True, "parameters": parameters, "data": [str(DATA / "iris.csv")]}
        return str(self.stage.dev.call("POST", "/train", call)["head"]["job"])

    def check_names(self, calls):
        readme = (self.directory / "README.md").read_text()
        for path in sorted(self.directory.glob("clients/*")):
            name = str(path.relative_to(self.directory))
            if name not in calls:
                self.faults.append(f"examples/{name}:1: a call in tests/docs/examples.py expected, found none")
            if f"({name})" not in readme:
                self.faults.append(f"examples/{name}:1: a link in examples/README.md expected, found none")

    def run(self, name, program, arguments, wanted):
        self.executed += 1
        given = [argument() if callable(argument) else argument for argument in arguments]
        try:
            done = subprocess.run([program, self.directory / name, *given], env=self.stage.environment, capture_output=True, text=True,
                                  timeout=STEP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.faults.append(f"examples/{name}:1: an end within {STEP_TIMEOUT_S} s expected, found none")
            return
        missing = [text for text in wanted if text not in done.stdout]
        if done.returncode != 0 or missing:
            wish = f"exit status 0 and {json.dumps(wanted)}"
            self.faults.append(f"examples/{name}:1: {wish} expected, found {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
