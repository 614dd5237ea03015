"""A small Kaggle on loopback that the unmodified client talks to.

The client is pointed at it by `environment`: its local mode asks http://localhost by way of a
proxy, which this server is. Whatever is refused, cut, lost or late is armed in `faults`.
"""

import base64
import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.kaggle.competitions import Competition, Competitions
from tests.kaggle.datasets import Datasets, Refused
from tests.kaggle.faults import Faults
from tests.kaggle.kernels import Kernels

USER, KEY = "rosa", "5f1d09a7" + "c3e8b264"  # in two: the search for secrets finds it in a tree
TOKEN = f"KGAT_{KEY}"
COMPETITION = "rsna-breast-cancer-detection"


class Kaggle:
    """The service: what it holds, what it was asked, what it is to do wrong."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.datasets = Datasets(self.faults)
        self.kernels = Kernels(self.faults, self.datasets)
        self.competitions = Competitions(self.faults, self.kernels)
        self.competitions.all[COMPETITION] = Competition(slug=COMPETITION)
        self.calls: list[str] = []
        self.tokens = {TOKEN: USER}
        self.lock = threading.RLock()
        self.port = 0

    @property
    def url(self) -> str:
        """Return the address that uploads and downloads use."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, home: Path, *, token: bool = False) -> dict[str, str]:
        """Return what points the client here, with credentials of its own."""
        own = {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "HTTP_PROXY": self.url,
            "http_proxy": self.url,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "HOME": str(home),
            "KAGGLE_CONFIG_DIR": str(home / ".kaggle"),
        }
        keys = {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}
        return own | ({"KAGGLE_API_TOKEN": TOKEN} if token else keys)

    def user(self, authorization: str) -> str:
        """Return who asks. Raises Refused."""
        kind, _, secret = authorization.partition(" ")
        if kind == "Bearer" and secret in self.tokens:
            return self.tokens[secret]
        if kind == "Basic" and base64.b64decode(secret).decode() == f"{USER}:{KEY}":
            return USER
        raise Refused(401, "Unauthenticated")

    def answer(self, call: str, body: dict[str, Any], authorization: str) -> dict[str, Any]:
        """Answer one call of the API."""
        if call == "security.OAuthService/IntrospectToken":
            user = self.tokens.get(body.get("token", ""))
            return {"active": bool(user), "username": user or ""}
        user = self.user(authorization)
        datasets, kernels, competitions = self.datasets, self.kernels, self.competitions
        answers = {
            "BlobApiService/StartBlobUpload": lambda: datasets.start_blob(body, self.url),
            "DatasetApiService/CreateDataset": lambda: datasets.create(body, user),
            "DatasetApiService/CreateDatasetVersion": lambda: datasets.create_version(body, user),
            "DatasetApiService/GetDatasetStatus": lambda: datasets.status(body),
            "DatasetApiService/ListDatasetFiles": lambda: datasets.list_files(body),
            "DatasetApiService/GetDataset": lambda: datasets.about(body),
            "DatasetApiService/GetDatasetMetadata": lambda: {"info": {"licenses": []}},
            "KernelsApiService/SaveKernel": lambda: kernels.save(body, user),
            "KernelsApiService/GetKernelSessionStatus": lambda: kernels.status(body),
            "KernelsApiService/GetKernel": lambda: kernels.get(body),
            "KernelsApiService/ListKernelSessionOutput": lambda: kernels.outputs(body, self.url),
            "CompetitionApiService/GetCompetition": lambda: competitions.about(body),
            "CompetitionApiService/ListDataTreeFiles": lambda: competitions.tree(body),
            "CompetitionApiService/GetSubmissionLimits": lambda: competitions.limits(body),
            "CompetitionApiService/CreateCodeSubmission": lambda: competitions.submit(body, user),
            "CompetitionApiService/ListSubmissions": lambda: competitions.list(body),
        }
        name = call.partition(".")[2]
        if name not in answers:
            raise Refused(404, f"No such call: {call}")
        return answers[name]()


class Handler(BaseHTTPRequestHandler):
    """HTTP: absolute-form request lines (it is a proxy), chunked bodies, cut connections."""

    protocol_version = "HTTP/1.1"
    kaggle: Kaggle

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the Date header, wrong where that is the fault."""
        return formatdate((timestamp or time.time()) + self.kaggle.faults.clock, usegmt=True)

    def do_POST(self) -> None:
        """Answer a call of the API."""
        body = self._body()
        path = urlsplit(self.path).path
        call = path.removeprefix("/api/v1/")
        self.kaggle.calls.append(call)
        refusal = self.kaggle.faults.take(call)
        if refusal:
            time.sleep(refusal.stall)
            if refusal.cut == "before":
                return self._cut()
            if refusal.status:
                message = refusal.message or f"Error {refusal.status}"
                return self._error(refusal.status, message, dict(refusal.headers))
        try:
            with self.kaggle.lock:
                if call.endswith("DownloadDataFile"):
                    self.kaggle.user(self.headers.get("Authorization", ""))
                    return self._redirect_file(json.loads(body))
                if call.endswith("DownloadDataset"):
                    self.kaggle.user(self.headers.get("Authorization", ""))
                    return self._redirect(json.loads(body))
                request = json.loads(body or b"{}")
                answer = self.kaggle.answer(call, request, self.headers.get("Authorization", ""))
        except Refused as error:
            return self._error(error.status, str(error), {})
        if refusal and refusal.cut == "after":
            return self._cut()
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def do_GET(self) -> None:
        """Serve a file of a dataset or of a notebook's output, or a log's stream."""
        words = urlsplit(self.path).path.strip("/").split("/")
        self.kaggle.calls.append("GET " + words[0])
        if words[:3] == ["storage", "datasets", "v1"]:
            owner, slug, number = words[3:6]
            files = self.kaggle.datasets.all[f"{owner}/{slug}"].versions[int(number) - 1].files
            name = "/".join(words[6:])
            return self._send(200, _archive(files) if name == f"{slug}.zip" else files[name], {})
        if words[:2] == ["storage", "competitions"]:
            name = "/".join(words[3:])
            packed = (
                name.removesuffix(".zip") if self.kaggle.competitions.all[words[2]].packs else name
            )
            return self._send(200, self.kaggle.competitions.file(words[2], packed)[1], {})
        if words[0] == "output":
            owner, slug, number = words[1:4]
            run = self.kaggle.kernels.runs(owner, slug)[int(number) - 1]
            return self._send(200, run.outputs["/".join(words[4:])], {})
        if words[2:5] == ["kernels", "logs", "stream"]:
            return self._stream(*words[5:7])
        self._error(404, "Not found", {})

    def do_PUT(self) -> None:
        """Take a blob's bytes, or say how many of them are here (Google's resumable uploads)."""
        kaggle, faults = self.kaggle, self.kaggle.faults
        self.kaggle.calls.append("PUT blob")
        try:
            blob = kaggle.datasets.blob(self.path.rsplit("/", 1)[-1])
        except Refused as error:
            return self._error(error.status, str(error), {})
        content_range = self.headers.get("Content-Range", "")
        if content_range.startswith("bytes */"):
            return self._blob_state(blob)
        if faults.blob_status_times > 0:
            faults.blob_status_times -= 1
            self._body()
            return self._send(faults.blob_status, b"", {})
        start = int(content_range.split()[1].split("-")[0]) if content_range else 0
        del blob.data[start:]
        cut = faults.cut_blob_at if faults.cut_blob_times > 0 else None
        for chunk in self._chunks():
            room = len(chunk) if cut is None else max(0, start + cut - len(blob.data))
            blob.data += chunk[:room]
            kaggle.datasets.bytes_received += min(room, len(chunk))
            while faults.hold_blob_at is not None and len(blob.data) >= faults.hold_blob_at:
                faults.holding = True
                time.sleep(0.01)
            if cut is not None and room <= len(chunk):
                faults.cut_blob_times -= 1
                if faults.cut_blob_status:
                    self.close_connection = True
                    return self._send(faults.cut_blob_status, b"", {"Connection": "close"})
                return self._cut()
        self._blob_state(blob)

    def _blob_state(self, blob: Any) -> None:
        if blob.complete:
            return self._send(200, b"{}", {"Content-Type": "application/json"})
        held = {"Range": f"bytes=0-{len(blob.data) - 1}"} if blob.data else {}
        self._send(308, b"", held)

    def _redirect(self, body: dict[str, Any]) -> None:
        version = self.kaggle.datasets.version(body)
        name = body.get("fileName") or f"{body['datasetSlug']}.zip"
        if body.get("fileName") and name not in version.files:
            raise Refused(404, "File not found")
        place = f"{body['ownerSlug']}/{body['datasetSlug']}/{version.number}"
        self._send(302, b"", {"Location": f"{self.kaggle.url}/storage/datasets/v1/{place}/{name}"})

    def _redirect_file(self, body: dict[str, Any]) -> None:
        slug = body["competitionName"]
        name, _ = self.kaggle.competitions.file(slug, body["fileName"])
        self._send(302, b"", {"Location": f"{self.kaggle.url}/storage/competitions/{slug}/{name}"})

    def _stream(self, owner: str, slug: str) -> None:
        """Send a running notebook's log line by line, as events; then that it is over."""
        faults = self.kaggle.faults
        run = self.kaggle.kernels.runs(owner, slug)[-1]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        sent = 0
        while True:
            ended = run.ended
            for line in run.log[sent:]:
                event = json.dumps({"stream_name": "stdout", "time": 0, "data": line + "\n"})
                self.wfile.write(f"data: {event}\n\n".encode())
                self.wfile.flush()
                sent += 1
                if faults.cut_log_after and sent >= faults.cut_log_after:
                    faults.cut_log_after = 0
                    return self._cut()
            if ended:
                self.wfile.write(b"data: END_OF_LOG\n\n")
                return
            time.sleep(0.02)

    # --- plumbing ---

    def _body(self) -> bytes:
        return b"".join(self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0 and (chunk := self.rfile.read(min(left, 1 << 16))):
            left -= len(chunk)
            yield chunk

    def _error(self, status: int, message: str, headers: dict[str, str]) -> None:
        body = json.dumps({"code": status, "message": message}).encode()
        self._send(status, body, {"Content-Type": "application/json"} | headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _cut(self) -> None:
        """End the connection as a broken line does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """A server whose handlers may meet clients that went away."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A cut connection is what was asked for."""


@contextmanager
def serve() -> Iterator[Kaggle]:
    """Yield a Kaggle that listens on a port of its own."""
    kaggle = Kaggle()
    handler = type("Bound", (Handler,), {"kaggle": kaggle})
    with Server(("127.0.0.1", 0), handler) as server:
        kaggle.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield kaggle
        finally:
            server.shutdown()
            thread.join()
