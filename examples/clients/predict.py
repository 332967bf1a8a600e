#!/usr/bin/env python3
"""Asks a service for the three best classes of a row, with nothing but the standard library.

    python3 predict.py http://localhost:8080 service1 5.1,3.5,1.4,0.2
"""
import json
import sys
import urllib.request

url, service, row = sys.argv[1:]
question = {"service": service, "parameters": {"output": {"best": 3}}, "data": [row]}
with urllib.request.urlopen(f"{url}/predict", json.dumps(question).encode()) as answer:
    print("answered by", answer.headers["X-Dede-Served-By"])
    for found in json.load(answer)["body"]["predictions"][0]["classes"]:
        print(f"class {found['cat']}: {found['prob']:.3f}")
