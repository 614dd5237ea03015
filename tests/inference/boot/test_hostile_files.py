"""Hostile volumes and manifests: nothing is written outside of the restored folder."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from inference.boot import bundle as bundles
from inference.boot import files
from inference.boot.bundle import Bundle
from inference.boot.manifest import File, Member, ModelFiles, compose
from inference.errors import BundleError


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


# --- hostile volumes ---


def hostile(folder: Path, entries: list[tarfile.TarInfo], listed: list[str]) -> Bundle:
    """Write a bundle whose one volume holds `entries`, and whose manifest lists other names."""
    folder.mkdir(parents=True)
    content = b"evil"
    with tarfile.open(folder / "volume-0.tar.tmp", "w") as tar:
        for entry in entries:
            if entry.isreg():
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    digest = hashlib.sha256(content).hexdigest()
    volume = (folder / "volume-0.tar.tmp").read_bytes()
    file = File(
        name="volume-0.tar",
        shipped="volume-0.tar.tmp",
        sha256=hashlib.sha256(volume).hexdigest(),
        bytes=len(volume),
        members=tuple(Member(name=name, sha256=digest) for name in listed),
    )
    _, text = compose((file,), ModelFiles(volumes=("volume-0.tar",), weights=()), "1")
    (folder / "bundle.json").write_text(text)
    return bundles.read(folder)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../escaped")],
        [entry("/tmp/escaped")],
        [entry("a/../../escaped")],
        [entry("m/x"), entry("m/escaped")],
        [entry("m/x", tarfile.SYMTYPE, "../../escaped")],
        [entry("m/x", tarfile.LNKTYPE, "/etc/passwd")],
        [entry("m/x", tarfile.FIFOTYPE)],
        [entry("m/x", tarfile.CHRTYPE)],
        [entry("m", tarfile.SYMTYPE, "/tmp"), entry("m/x")],
        [entry("m/x"), entry("m/x")],
        [],
    ],
    ids=lambda entries: " ".join(f"{one.name}:{one.type.decode()}" for one in entries) or "none",
)
def test_unpacks_only_what_the_manifest_lists(
    tmp_path: Path, scratch: Path, entries: list[tarfile.TarInfo]
) -> None:
    made = hostile(tmp_path / "input" / "model", entries, ["m/x"])
    with pytest.raises(BundleError, match="was altered"):
        files.restore(made, scratch)
    assert list(scratch.iterdir()) == []
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\b", "a\nb", "", "."])
def test_a_manifest_with_a_name_outside_is_not_read(tmp_path: Path, name: str) -> None:
    hostile(tmp_path / "model", [entry("m/x")], ["m/x"])
    manifest = json.loads((tmp_path / "model" / "bundle.json").read_text())
    manifest["files"][0]["members"][0]["name"] = name
    (tmp_path / "model" / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="unsafe file name"):
        bundles.read(tmp_path / "model")


@pytest.mark.parametrize("listed", [["m/x", "m/x"], ["m/x", "m"], ["m", "m/x/y"]])
def test_refuses_names_that_clash(tmp_path: Path, scratch: Path, listed: list[str]) -> None:
    made = hostile(tmp_path / "model", [entry(name) for name in listed], listed)
    with pytest.raises(BundleError, match="one name"):
        files.restore(made, scratch)
