#!/usr/bin/env python3
"""Round trips of services and artifacts with OCI clients and a registry that others wrote.

    python3 tests/clients/oci.py target/debug/dede

Needs `skopeo` and `docker-registry` (Debian) and the Python package `oras`. Exit status 0: every round trip gave back what went in.
"""
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

import oras.client
import oras.oci

from run import free_port, wait_until_ready

MODEL = pathlib.Path(__file__).resolve().parent.parent.parent / "crates/testing/fixtures/models/iris"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ENGINE = "application/vnd.dede.engine.v1+json"
ROW = "5.1,3.5,1.4,0.2"


def call(method, url, body=None, accept=f"{MANIFEST}, application/vnd.oci.image.index.v1+json"):
    """Status and body; a refusal is an answer too."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Accept": accept}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def fetch(url):
    status, body = call("GET", url)
    assert status == 200, f"GET {url}: {status} {body[:300]}"
    return body


def run(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}\n{done.stdout.decode()}"
    return done.stdout


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registries:
    """A dede with the service `iris`, and Debian's docker-registry."""

    def __init__(self, binary, work):
        self.binary, self.work = binary, work
        self.dede, self.other = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        configuration = work / "registry.yml"
        configuration.write_text(json.dumps({
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(work / "registry")}, "delete": {"enabled": True}},
            "http": {"addr": self.other, "secret": "a secret of this test"},
            "log": {"level": "error"},
        }))
        self.log = (work / "servers.log").open("w")
        serve = [binary, "serve", "--port", self.dede.rsplit(":", 1)[1], "--state-dir", work / "state"]
        started = [serve, ["docker-registry", "serve", configuration]]
        self.processes = [subprocess.Popen(command, stdout=self.log, stderr=self.log) for command in started]
        wait_until_ready(self.processes[0], f"http://{self.dede}")
        wait_until_ready(self.processes[1], f"http://{self.other}", "/v2/")
        shutil.copytree(MODEL, work / "iris")
        self.create("iris", {
            "mllib": "caffe",
            "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
            "model": {"repository": str(work / "iris")},
        })

    def create(self, name, body):
        status, said = call("PUT", f"http://{self.dede}/services/{name}", body)
        assert status == 201, said

    def predictions(self, service):
        body = {"service": service, "data": [ROW], "parameters": {"output": {"best": 3}}}
        status, said = call("POST", f"http://{self.dede}/predict", body)
        assert status == 200, said
        return json.loads(said)["body"]["predictions"]

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(60)


def manifest_of(registry, repository, reference):
    return fetch(f"http://{registry}/v2/{repository}/manifests/{reference}")


def dede_and_docker_registry(there):
    """Push, pull and create again; the statement about the bundle is listed under the tag that the specification gives."""
    reference = f"{there.other}/models/iris:v3"
    run(there.binary, "push", reference, "--on", f"http://{there.dede}")
    run(there.binary, "push", reference, "--on", f"http://{there.dede}")
    bundle = manifest_of(there.other, "models/iris", "v3")
    assert bundle == manifest_of(there.dede, "iris", "latest")
    listed = json.loads(manifest_of(there.other, "models/iris", digest(bundle).replace(":", "-")))["manifests"]
    assert [entry["artifactType"] for entry in listed] == [ENGINE], listed
    about = json.loads(manifest_of(there.other, "models/iris", listed[0]["digest"]))
    assert about["subject"]["digest"] == digest(bundle)
    run(there.binary, "pull", reference, "pulled", cwd=there.work)
    there.create("pulled", json.loads((there.work / "pulled.put.json").read_text()))
    assert there.predictions("pulled") == there.predictions("iris")
    assert manifest_of(there.dede, "pulled", "latest") == bundle, "the same service is the same bundle"


class Breaking(http.server.BaseHTTPRequestHandler):
    """Passes requests on, of blobs 1000 bytes at a time; the connection breaks behind them. Of uploads only the first two break: the
    other registry keeps nothing of them, so that they have to come through at last."""

    registry, uploads, downloads = None, 0, 0
    PIECE = 1000

    def pass_on(self):
        length = int(self.headers.get("Content-Length", 0))
        breaks = self.command in ("PUT", "PATCH") and "/blobs/" in self.path and length > self.PIECE and Breaking.uploads < 2
        connection = http.client.HTTPConnection(self.registry, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(self.rfile.read(self.PIECE if breaks else length))
        self.close_connection = True
        if breaks:
            Breaking.uploads += 1
            connection.close()
            return
        answer = connection.getresponse()
        body = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and "/blobs/" in self.path and len(body) > self.PIECE:
            Breaking.downloads += 1
            body = body[:self.PIECE]
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def log_message(self, *_):
        """The test says what matters."""


def broken_connections(there):
    """Both directions over connections that break inside of blobs: Docker's registry answers with parts, and forgets uploads."""
    Breaking.registry = there.other
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        reference = f"127.0.0.1:{proxy.server_address[1]}/broken/iris:v1"
        run(there.binary, "push", reference, "--on", f"http://{there.dede}")
        assert manifest_of(there.other, "broken/iris", "v1") == manifest_of(there.dede, "iris", "latest")
        run(there.binary, "pull", reference, "broken", cwd=there.work)
        proxy.shutdown()
    assert Breaking.uploads == 2 and Breaking.downloads >= 2, (Breaking.uploads, Breaking.downloads)
    there.create("broken", json.loads((there.work / "broken.put.json").read_text()))
    assert there.predictions("broken") == there.predictions("iris")


def skopeo(there):
    """A service to another registry and to a directory, and from there back."""
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"]
    service, copied = f"docker://{there.dede}/iris:latest", f"docker://{there.other}/skopeo/iris:v1"
    bundle = manifest_of(there.dede, "iris", "latest")
    assert run("skopeo", "inspect", "--raw", "--tls-verify=false", service) == bundle
    run("skopeo", "copy", *plain, service, copied)
    assert run("skopeo", "inspect", "--raw", "--tls-verify=false", copied) == bundle
    back = f"docker://{there.dede}/copies/iris:v1"
    run("skopeo", "copy", *plain, copied, back)
    assert run("skopeo", "inspect", "--raw", "--tls-verify=false", back) == bundle
    layout = f"oci:{there.work / 'layout'}:iris"
    run("skopeo", "copy", "--src-tls-verify=false", "--preserve-digests", back, layout)
    run("skopeo", "copy", "--dest-tls-verify=false", "--preserve-digests", layout, f"docker://{there.dede}/copies/again:v1")
    assert manifest_of(there.dede, "copies/again", "v1") == bundle
    tags = json.loads(run("skopeo", "list-tags", "--tls-verify=false", f"docker://{there.dede}/iris"))["Tags"]
    assert "latest" in tags and len(tags) == 2, tags
    run("skopeo", "delete", "--tls-verify=false", f"docker://{there.dede}/copies/again:v1")
    assert call("GET", f"http://{there.dede}/v2/copies/again/manifests/v1")[0] == 404
    run(there.binary, "pull", f"{there.dede}/copies/iris:v1", "copied", cwd=there.work)
    there.create("copied", json.loads((there.work / "copied.put.json").read_text()))
    assert there.predictions("copied") == there.predictions("iris")


def oras_client(there):
    """Files pushed whole and in chunks, pulled again; something attached to them, and found."""
    client = oras.client.OrasClient(hostname=there.dede, insecure=True)
    files = there.work / "files"
    files.mkdir()
    os.chdir(files)
    for tag, chunked in [("whole", False), ("chunked", True)]:
        # What is there already would not be sent again.
        contents = {"small.txt": tag.encode(), "large.bin": os.urandom(3 << 20)}
        for name, content in contents.items():
            (files / name).write_bytes(content)
        target = f"{there.dede}/oras/files:{tag}"
        client.push(target, files=list(contents), do_chunked=chunked, chunk_size=1 << 20, quiet=True)
        out = there.work / f"oras-{tag}"
        client.pull(target, outdir=str(out))
        assert {path.name: path.read_bytes() for path in out.iterdir()} == contents, tag
    assert sorted(client.get_tags(f"{there.dede}/oras/files")) == ["chunked", "whole"]
    subject = manifest_of(there.dede, "oras/files", "whole")
    about = oras.oci.Subject(mediaType=MANIFEST, digest=digest(subject), size=len(subject))
    client.push(f"{there.dede}/oras/files:note", files=["small.txt"], subject=about, quiet=True)
    url = f"http://{there.dede}/v2/oras/files/referrers/{digest(subject)}"
    found = json.loads(fetch(url))["manifests"]
    note = manifest_of(there.dede, "oras/files", "note")
    assert [entry["digest"] for entry in found] == [digest(note)], found
    service = client.get_manifest(f"{there.dede}/iris:latest")
    assert service["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    for layer in service["layers"]:
        content = client.get_blob(f"{there.dede}/iris", layer["digest"]).content
        assert digest(content) == layer["digest"]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as work:
        there = Registries(binary, pathlib.Path(work))
        passed = False
        try:
            for trip in (dede_and_docker_registry, broken_connections, skopeo, oras_client):
                trip(there)
                print(f"{trip.__name__}: passed")
            passed = True
        finally:
            there.stop()
            os.chdir("/")
            if not passed:
                print(f"--- servers ---\n{(there.work / 'servers.log').read_text()}", file=sys.stderr)


if __name__ == "__main__":
    main()
