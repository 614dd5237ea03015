"""Show candidates to a resolver: a package index on loopback, for the time of one resolution.

So uv and pip-compile see the very same releases, and neither is given an address or a password of
an index. Only what a package needs is served (PEP 658, 691), no package itself.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from packaging.utils import parse_wheel_filename

from bundler.errors import BundlerError, NetworkError
from bundler.libs.resolve.candidates import Candidate, Candidates

PAGE = "application/vnd.pypi.simple.v1+json"
UNUSABLE = b"Metadata-Version: unusable\n"  # resolvers pass over a release that says this
REFUSED = 400  # an answer after which resolvers do not ask again


@contextmanager
def serving(candidates: Candidates) -> Iterator[str]:
    """Yield the address of an index that holds the candidates."""
    handler = type("Handler", (_Handler,), {"candidates": candidates})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    candidates: Candidates
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the headers and a small answer are two writes

    def do_GET(self) -> None:
        """Answer with a page of a package, or with what a wheel needs."""
        parts = unquote(self.path.partition("?")[0]).strip("/").split("/")
        try:
            if parts[0] == "simple" and len(parts) == 2:
                self._page(parts[1])
            elif parts[0] == "files" and parts[-1].endswith(".whl.metadata"):
                self._metadata(parts[-1].removesuffix(".metadata"))
            else:
                self._send(404, b"")
        except BundlerError as error:
            self.candidates.give_up(error)
            self._send(REFUSED, b"")

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def _page(self, name: str) -> None:
        offered = self.candidates.of(name)
        if not offered:
            return self._send(404, b"")
        usable = [one for one in offered if one.wheel not in self.candidates.refused]
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": [*map(_entry, usable)]}
        return self._send(200, json.dumps(page).encode(), PAGE)

    def _metadata(self, wheel: str) -> None:
        name, version = parse_wheel_filename(wheel)[:2]
        candidate = self.candidates.find(name, str(version))
        try:
            text = self.candidates.needs(candidate)
        except NetworkError:
            raise
        except BundlerError as error:  # of this release alone: another may do
            self.candidates.refuse(candidate, str(error))
            return self._send(200, UNUSABLE)
        return self._send(200, text.encode())

    def _send(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def _entry(candidate: Candidate) -> dict[str, str | bool | dict[str, str]]:
    yanked = candidate.file.yanked if candidate.file else None
    return {
        "filename": candidate.wheel,
        "url": f"/files/{candidate.wheel}",
        "hashes": {},
        "core-metadata": True,
        "yanked": False if yanked is None else yanked or True,
    }
