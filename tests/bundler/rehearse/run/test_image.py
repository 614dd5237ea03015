"""What is refused before a Python is emulated, or a container started."""

from pathlib import Path

import pytest

from bundler.errors import UsageError
from bundler.image import target as targets
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.run import image, limits
from bundler.settings import Settings
from tests.bundler.competition.gateway import phantom


def test_a_gateway_is_not_rehearsed_in_containers(tmp_path: Path) -> None:
    data = phantom.competition(tmp_path / "data")
    options = RehearseOptions(
        settings=Settings(root=tmp_path, target=("host",)),
        dist=tmp_path,
        out=tmp_path / "out",
        competition_dir=data,
        backend="podman",
    )
    target = targets.load("host", tmp_path)
    inputs = Inputs(
        options=options,
        target=target,
        targets=(target,),
        bundles={},
        notebook=tmp_path / "notebook.ipynb",
        backend="podman",
        limits=limits.read(options, target),
    )
    with pytest.raises(UsageError, match=r"podman cannot make: leave --backend out"):
        image.prepare(inputs, tmp_path / "substitute")
