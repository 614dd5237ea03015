"""What a finished bundle looked like on disk, so that an unchanged one need not be hashed again."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bundler import atomic
from bundler.bundle import Built
from bundler.cache import folder
from bundler.libs.install_test import NO_PROOF, Proof
from inference.boot import bundle as reader
from inference.boot.manifest import MANIFEST
from inference.errors import BundleError


def record(built: Built, lock: str, proof: Proof) -> None:
    """Remember sizes and times of a bundle's files, its lock, and what came of its proof."""
    place = built.bundle.folder
    stamp = {"lock": _digest(lock), "files": _seen(place), "proof": asdict(proof)}
    atomic.write_text(_path(place), json.dumps(stamp))


def unchanged(place: Path, lock: str, proven: bool) -> tuple[Built, Proof] | None:
    """Return the bundle at `place` where neither it nor its lock has changed since.

    One that was written with `--no-proof` does not count where a proof is wanted.
    """
    try:
        stamp = json.loads(_path(place).read_bytes())
        proof = Proof(**{**stamp["proof"], "imported": tuple(stamp["proof"]["imported"])})
        same = stamp["lock"] == _digest(lock) and stamp["files"] == _seen(place)
        if not same or (proven and proof.skipped == NO_PROOF):
            return None
        bundle = reader.read(place)
    except (OSError, ValueError, KeyError, TypeError, BundleError):
        return None
    size = sum(file.bytes for file in bundle.files)
    return Built(bundle=bundle, bytes=size, changed=False), proof


def _path(place: Path) -> Path:
    name = hashlib.sha256(str(place.absolute()).encode()).hexdigest()[:32]
    return folder("stamps") / f"{name}.json"


def _digest(lock: str) -> str:
    return hashlib.sha256(lock.encode()).hexdigest()


def _seen(place: Path) -> dict[str, Any]:
    seen = {path.name: path.stat() for path in sorted(place.iterdir())}
    if MANIFEST not in seen:
        raise FileNotFoundError(MANIFEST)
    return {name: [stat.st_size, stat.st_mtime_ns, stat.st_ino] for name, stat in seen.items()}
