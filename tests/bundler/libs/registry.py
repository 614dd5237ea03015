"""A small package index on loopback, with the faults that real ones have."""

import base64
import hashlib
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from packaging.utils import canonicalize_name


class Registry:
    """Holds files; serves the JSON simple API, ranges and metadata; logs what was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.about: dict[str, dict[str, Any]] = {}
        self.log: list[str] = []
        # file name → "cut", "gone", "changed", "busy", "stall", "slow"
        self.faults: dict[str, str] = {}
        self.stalled = threading.Event()  # a stalling file was asked for, and half of it sent
        self.release = threading.Event()
        self.as_html = False
        self.password = ""  # `user:password` that each request must give, if any
        self.passwords: list[str] = []  # what each request gave
        self.elsewhere = ""  # the server that files are redirected to, if any
        self.user_of_files = ""  # `user:password@` that a page puts into its links
        self.url = ""
        self.server: ThreadingHTTPServer

    def close(self) -> None:
        """Stop answering."""
        self.server.shutdown()
        self.server.server_close()

    def add(
        self,
        file: tuple[str, bytes],
        *,
        yanked: str | None = None,
        python: str | None = None,
        uploaded: str | None = None,
    ) -> None:
        """Publish a file."""
        name, content = file
        self.files[name] = content
        self.about[name] = {"yanked": yanked, "requires-python": python, "upload-time": uploaded}

    def asked(self, part: str) -> list[str]:
        """Return the requests whose path holds `part`."""
        return [path for path in self.log if part in path]

    def page(self, project: str) -> list[dict[str, Any]]:
        """Return a project's files as PEP 691 lists them."""
        entries = []
        for name, content in self.files.items():
            if canonicalize_name(name.rsplit("-", 1)[0].split("-")[0]) != project and (
                canonicalize_name(
                    name.removesuffix(".tar.gz").removesuffix(".zip").rsplit("-", 1)[0]
                )
                != project
            ):
                continue
            entry: dict[str, Any] = {
                "filename": name,
                "url": f"{self.url}/files/{name}".replace("://", f"://{self.user_of_files}"),
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                "size": len(content),
                "core-metadata": name.endswith(".whl"),
                "yanked": self.about[name]["yanked"] or False,
            }
            for key in ("requires-python", "upload-time"):
                if self.about[name][key]:
                    entry[key] = self.about[name][key]
            entries.append(entry)
        return entries


class _Handler(BaseHTTPRequestHandler):
    registry: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.registry.log.append(f"{self.path} {asked}" if asked else self.path)
        self.registry.passwords.append(self.headers.get("Authorization") or "")
        parts = self.path.strip("/").split("/")
        wanted = base64.b64encode(self.registry.password.encode()).decode()
        if self.registry.password and self.headers.get("Authorization") != f"Basic {wanted}":
            self._send(401, b"who are you")
        elif parts[0] == "files" and self.registry.elsewhere:
            self._send(302, b"", {"Location": self.registry.elsewhere + self.path})
        elif parts[0] == "simple" and len(parts) == 2:
            self._page(parts[1])
        elif parts[0] == "files" and parts[1].endswith(".whl.metadata"):
            self._metadata(parts[1].removesuffix(".metadata"))
        elif parts[0] == "files" and parts[1] in self.registry.files:
            self._file(parts[1])
        else:
            self._send(404, b"not here")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _page(self, project: str) -> None:
        files = self.registry.page(project)
        if not files:
            self._send(404, b"no such project")
        elif self.registry.as_html:
            links = "".join(_link(entry) for entry in files)
            text = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
            self._send(200, text, {"Content-Type": "text/html"})
        else:
            content = {"meta": {"api-version": "1.1"}, "name": project, "files": files}
            kind = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
            self._send(200, json.dumps(content).encode(), kind)

    def _metadata(self, name: str) -> None:
        with zipfile.ZipFile(BytesIO(self.registry.files[name])) as archive:
            member = next(entry for entry in archive.namelist() if entry.endswith("/METADATA"))
            self._send(200, archive.read(member))

    def _file(self, name: str) -> None:
        content = self.registry.files[name]
        fault = self.registry.faults.get(name)
        if fault == "gone":
            return self._send(404, b"gone")
        if fault == "busy":
            del self.registry.faults[name]
            return self._send(503, b"busy")
        if fault == "changed":
            content = content[:-1] + b"?"
        start = 0
        if asked := self.headers.get("Range"):
            first, _, end = asked.removeprefix("bytes=").partition("-")
            if not first:  # the last so many bytes
                first, end = str(max(0, len(content) - int(end))), ""
            start = int(first)
            stop = min(int(end) + 1, len(content)) if end else len(content)
            if start >= len(content):
                return self._send(416, b"")
            span = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
            return self._send(206, content[start:stop], {"Accept-Ranges": "bytes", **span})
        if fault == "cut":
            del self.registry.faults[name]
            return self._cut(content)
        if fault == "stall":
            return self._stall(content)
        if fault == "slow":
            return self._trickle(content)
        return self._send(200, content, {"Accept-Ranges": "bytes"})

    def _stall(self, content: bytes) -> None:
        """Send half of the file, and then nothing until the test goes on."""
        self._cut(content)
        self.wfile.flush()
        self.registry.stalled.set()
        self.registry.release.wait(60)

    def _trickle(self, content: bytes) -> None:
        """Send the file in ten pieces with pauses between them."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        piece = -(-len(content) // 10)
        for start in range(0, len(content), piece):
            self.wfile.write(content[start : start + piece])
            self.wfile.flush()
            time.sleep(0.15)

    def _cut(self, content: bytes) -> None:
        """Promise the whole file, send half of it, and hang up."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _link(entry: dict[str, Any]) -> str:
    yanked = f' data-yanked="{entry["yanked"]}"' if entry["yanked"] else ""
    python = entry.get("requires-python", "").replace(">", "&gt;").replace("<", "&lt;")
    needs = f' data-requires-python="{python}"' if python else ""
    address = f"{entry['url']}#sha256={entry['hashes']['sha256']}"
    return f'<a href="{address}"{yanked}{needs}>{entry["filename"]}</a>\n'


@contextmanager
def serving() -> Iterator[Registry]:
    """Serve a registry on a free port of loopback."""
    registry = Registry()
    handler = type("Handler", (_Handler,), {"registry": registry})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    registry.server = server
    registry.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        registry.close()
        thread.join()
