"""What is no file of weights is named for what it is, with the way out."""

import zipfile
from pathlib import Path

import pytest
import torch

from bundler.errors import InputError
from bundler.model import checkpoint
from tests.bundler.model.networks import Small, write_onnx

IMAGE = torch.rand(1, 1, 96, 64)


def script(path: Path) -> None:
    torch.jit.save(torch.jit.trace(Small().eval(), IMAGE), path)


def program(path: Path) -> None:
    torch.export.save(torch.export.export(Small().eval(), (IMAGE,)), path)


KINDS = {
    "TorchScript": (script, "is a TorchScript module: .*jit.load.*--onnx"),
    "torch.export": (program, r"is a program of torch\.export .*--onnx"),
    "a whole module": (
        lambda path: torch.save(Small(), path),
        r"holds a whole pickled module .* class tests\.bundler\.model\.networks\.Small.*--factory",
    ),
    "ONNX": (lambda path: write_onnx(path, Small()), "is an ONNX file: .*--onnx"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_what_it_is_is_named(kind: str, tmp_path: Path) -> None:
    write, message = KINDS[kind]
    write(tmp_path / "some.pth")
    with pytest.raises(InputError, match=message):
        checkpoint.read(tmp_path / "some.pth")


def test_a_zip_bomb_is_refused_by_its_declared_size(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb/data/0", "w", force_zip64=True) as member,
    ):
        for _ in range(200):
            member.write(bytes(1 << 20))
    with pytest.raises(InputError, match=r"has 0\.2 MB and declares 0\.2 GB of contents"):
        checkpoint.read(path)


def test_weights_that_were_zipped_again_are_read(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(1000, 100), "fc.bias": torch.zeros(1000)}, tmp_path / "a")
    with (
        zipfile.ZipFile(tmp_path / "a") as old,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert checkpoint.read(tmp_path / "b.pth").state["fc.weight"].shape == (1000, 100)
