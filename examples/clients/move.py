#!/usr/bin/env python3
"""Moves a service through the REST API: begins the move on the target, follows its events, promotes it, prints how it ended.

    python3 move.py http://prod:8080 http://dev:8080 service2 service1

The target, given first, has the source as a peer in its configuration file. service2 of the source becomes service1 of the target.
"""
import json
import sys
import urllib.request


def post(path, body=None):
    with urllib.request.urlopen(f"{target}{path}", json.dumps(body).encode()) as answer:
        return json.load(answer)["body"]


target, source, service, name = sys.argv[1:]
move = post("/moves", {"service": service, "source": source, "as": name, "shadow_for_s": 5, "watch_for_s": 5})
shown, promoted = None, False
# The events end with the move.
for line in urllib.request.urlopen(f"{target}/moves/{move['id']}/events"):
    if line.startswith(b"data: "):
        move = json.loads(line[6:])
        if move["phase"] != shown:
            shown = move["phase"]
            print(move["id"], shown, flush=True)
        if move["waits_for"] == "promote" and not promoted:
            promoted = True
            post(f"/moves/{move['id']}/promote")
sys.exit(0 if shown == "done" else f"{shown}: {move.get('error')}")
