"""How files are divided into volumes: few, bounded, in one order."""

import random
from pathlib import Path

import pytest

from bundler.model import volumes
from bundler.model.tree import SourceFile, Stamp, Tree


def tree_of(sizes: list[int]) -> Tree:
    """Return a tree of files that need not exist, since it is not read."""
    stamps = [Stamp(bytes=size, modified=0, inode=0) for size in sizes]
    listed = [
        SourceFile(name=f"m/{number:06}.bin", path=Path("/dev/null"), stamp=one)
        for number, one in enumerate(stamps)
    ]
    return Tree(files=tuple(listed), folders=(), roots=(Path("/m"),))


SIZES = {
    "small": lambda r: [r.randrange(10_000) for _ in range(20_000)],
    "equal": lambda r: [3 * 10**9] * 60,
    "empty": lambda r: [0] * 500,
    "one": lambda r: [5],
    "skewed": lambda r: [int(10 ** r.uniform(0, 9.5)) for _ in range(400)],
    "large": lambda r: [r.randrange(10**9) for _ in range(350)],
}


@pytest.mark.parametrize("kind", SIZES)
def test_each_file_travels_once_and_in_few_files(kind: str) -> None:
    tree = tree_of(SIZES[kind](random.Random(kind)))
    layout = volumes.lay_out(tree)
    alone = [one.file for one in layout.alone]
    packed = [file for volume in layout.volumes for file in volume.files]
    assert sorted([*alone, *packed], key=lambda file: file.name) == list(tree.files)
    assert len(layout.alone) <= 40
    assert len(layout.alone) + len(layout.volumes) <= 49
    assert (
        min((file.stamp.bytes for file in alone), default=0)
        >= max((file.stamp.bytes for file in packed), default=0)
        or len(layout.alone) == 40
    )
    sizes = [sum(file.stamp.bytes for file in volume.files) for volume in layout.volumes]
    share = sum(sizes) / volumes.MOST_VOLUMES
    largest = max((file.stamp.bytes for file in packed), default=0)
    assert max(sizes, default=0) <= max(volumes.VOLUME_BYTES, share + largest + 10**8)


def test_the_largest_travel_alone() -> None:
    sizes = random.Random(0).sample(range(1, 10**6), 100)
    layout = volumes.lay_out(tree_of(sizes))
    assert sorted(one.file.stamp.bytes for one in layout.alone) == sorted(sizes)[-40:]
