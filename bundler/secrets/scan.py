"""Look for secrets in files: by their names, by rules, and by the values that this machine has."""

import codecs
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from bundler.secrets import filenames, rules, unpack
from bundler.secrets.unpack import Chunk, Unread
from bundler.secrets.values import Credentials

ALLOWED = b"not a secret"  # on the same line: somebody looked
REACH = 500  # bytes from a match within which that counts; a minified file is one line
THREADS = 4  # the engine searches without Python's lock
SAMPLE = 64 << 10
PRINTABLE = bytes([*range(9, 14), *range(32, 127)])
SMALL = 1 << 20  # bytes of a binary file that is searched for base64, too
BREAK = b"\v"  # stands for a line's end that is escaped, as in JSON
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark its own begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file to look through; `by_rules` is off for what is public already."""

    path: str
    size: int
    open: Callable[[], IO[bytes]]
    by_rules: bool = True


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A line that looks like a secret, by its path and number; its text is never repeated."""

    path: str
    line: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.path}{f':{self.line}' if self.line else ''}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What a search found, and what it could not look into."""

    findings: tuple[Finding, ...]
    unread: tuple[Unread, ...]


def scan(
    sources: Iterable[Source],
    credentials: Credentials,
    advance: Callable[[int], None] = lambda size: None,
) -> Scan:
    """Look through files, several at once. Raises OSError for one that cannot be read."""

    def look(source: Source) -> tuple[Scan, set[str]]:
        result = _scan_one(source, credentials)
        advance(source.size)
        return result

    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        results = list(pool.map(look, sources))
    paths = sorted({path for _, names in results for path in names})
    findings = [finding for one, _ in results for finding in one.findings]
    findings += _in_names(paths, credentials)
    return Scan(
        findings=tuple(sorted(findings, key=lambda one: (one.path, one.line or 0))),
        unread=tuple(unread for one, _ in results for unread in one.unread),
    )


def _scan_one(source: Source, credentials: Credentials) -> tuple[Scan, set[str]]:
    """Return what a file holds, and its path and its members'."""
    paths, found, unread = {source.path}, dict[tuple[str, int | None], Finding](), []
    if not source.by_rules and not credentials.needles:
        return Scan(findings=(), unread=()), paths  # gigabytes need not be read for nothing
    if source.by_rules and (what := filenames.named(source.path, source.size)):
        found[source.path, None] = Finding(path=source.path, line=None, what=what)
    with source.open() as stream:
        for part in unpack.chunks(source.path, stream):
            if isinstance(part, Unread):
                unread.append(part)
                continue
            if part.path not in paths:
                paths.add(part.path)
                what = filenames.named(part.path, len(part.data)) if source.by_rules else None
                if what:
                    found[part.path, None] = Finding(path=part.path, line=None, what=what)
            for finding in search(part, credentials, by_rules=source.by_rules):
                found.setdefault((finding.path, finding.line), finding)
    findings = tuple(
        Finding(path=credentials.masked(one.path), line=one.line, what=one.what)
        for one in found.values()
    )
    return Scan(findings=findings, unread=tuple(unread)), paths


def _in_names(paths: list[str], credentials: Credentials) -> Iterator[Finding]:
    """Yield the files whose very names hold a secret, by their folders."""
    text = "\n".join(paths).encode("utf-8", "surrogateescape")
    for path in paths:
        for _, source in credentials.find(path.encode("utf-8", "surrogateescape")):
            yield Finding(path=credentials.masked(path), line=None, what=_value(source))
    for match in rules.find(text, encoded=False):
        path = paths[text.count(b"\n", 0, match.start)]
        parent = PurePosixPath(path).parent
        yield Finding(path=f"{parent}/***", line=None, what=f"{match.what} in the file's name")


def search(chunk: Chunk, credentials: Credentials, *, by_rules: bool = True) -> Iterator[Finding]:
    """Yield what some bytes hold: one finding for a line, the surest first."""
    text = decoded(chunk.data)
    is_text = _is_text(text)
    for start, source in credentials.find(chunk.data):
        yield _finding(chunk, chunk.data if is_text else b"", start, _value(source))
    if is_text:
        for source in credentials.find_wrapped(text):
            yield Finding(path=chunk.path, line=None, what=_value(source))
    if not by_rules:
        return
    encoded = is_text or len(text) < SMALL
    is_json = text[:SAMPLE].lstrip()[:1] in (b"{", b"[") or chunk.path.endswith(".ipynb")
    for variant in _variants(text) if is_text else (text,):
        matches = sorted(rules.find(variant, encoded=encoded), key=lambda one: not one.is_own)
        for match in matches:
            if not _is_exempt(variant, match.start, is_json=is_json):
                yield _finding(chunk, variant if is_text else b"", match.start, match.what)


def decoded(data: bytes) -> bytes:
    """Return a text of UTF-16 or UTF-32 as UTF-8, and any other bytes as they are."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, "replace").encode("utf-8", "replace")
    sample = data[:SAMPLE]
    half = max(len(sample) // 2, 1)
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = sample[first::2].count(0), sample[1 - first :: 2].count(0)
        if zeros > 0.6 * half and others < 0.1 * half:
            return data.decode(encoding, "replace").encode("utf-8", "replace")
    return data


def _variants(text: bytes) -> Iterator[bytes]:
    """Yield a text, and the same without the backslashes of strings in JSON and notebooks."""
    yield text
    if b'\\"' in text or b"\\n" in text:
        yield text.replace(b'\\"', b'"').replace(b"\\n", BREAK)


def _is_text(data: bytes) -> bool:
    sample = data[:SAMPLE]
    return len(sample.translate(None, PRINTABLE)) < 0.3 * max(len(sample), 1)


def _is_exempt(text: bytes, start: int, *, is_json: bool) -> bool:
    """Say whether the line of a match says that it is no secret; no other line can."""
    breaks = (b"\n", b"\r", BREAK, *([b"\\n"] if is_json else []))
    low, high = max(0, start - REACH), min(len(text), start + REACH)
    first = max(low, *(text.rfind(one, low, start) for one in breaks))
    ends = [end for one in breaks if (end := text.find(one, start, high)) >= 0]
    return ALLOWED in text[first : min(ends, default=high)]


def _finding(chunk: Chunk, text: bytes, start: int, what: str) -> Finding:
    """Return a finding; its line is not known without a `text`, as in a binary file."""
    line = chunk.line + text.count(b"\n", 0, start) if text else None
    if text and chunk.path.endswith(".ipynb") and chunk.line == 1:
        # A cell's type is its first key, as Jupyter writes it.
        cell = text.count(b'"cell_type"', 0, start)
        what += f" (cell {cell})"
    return Finding(path=chunk.path, line=line, what=what)


def _value(source: str) -> str:
    return f"the very value of {source} on this machine"
