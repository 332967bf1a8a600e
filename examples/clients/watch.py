#!/usr/bin/env python3
"""Follows a training until it is over, and prints its figures as they come.

    python3 watch.py http://localhost:8080 service1 1

The last argument is the number of the job, which the answer to POST /train names.
"""
import json
import sys
import urllib.request

url, service, job = sys.argv[1:]
status = "running"
while status in ("running", "terminating"):
    # Waits on the server for the end of the job, a second at most, so that nothing is asked in haste.
    with urllib.request.urlopen(f"{url}/train?service={service}&job={job}&timeout=1") as answer:
        content = json.load(answer)
    status = content["head"]["status"]
    figures = content["body"].get("measure", {})
    print(status, *(f"{name}={figures[name]:.4g}" for name in ("iteration", "train_loss", "acc") if name in figures), flush=True)
sys.exit(0 if status == "finished" else json.dumps(content["body"].get("Error", status)))
