"""The phantom competition of the example, and copies of its package with changes."""

import shutil
from pathlib import Path

from tests.bundler.competition import folders

HOST = Path(__file__).parents[4] / "examples" / "gateway" / "host"
GATEWAY = "kaggle_evaluation/gait_gateway.py"


def competition(root: Path, *, walks: int = 40) -> Path:
    """Write a competition's folder: walks with an age, an empty signal each, and the package."""
    root.mkdir(parents=True)
    for part, count in (("train", walks), ("test", 3)):
        first = 0 if part == "train" else 900
        rows = [
            {"walk_id": f"{first + n:06d}", "age": 60 + n / 2, "fall": n % 2} for n in range(count)
        ]
        (root / f"{part}_signals").mkdir()
        for row in rows:
            (root / f"{part}_signals" / f"{row['walk_id']}.npy").write_bytes(b"signal")
        if part == "test":
            rows = [{name: row[name] for name in ("walk_id", "age")} for row in rows]
        folders.write_csv(root / f"{part}.csv", rows)
    shutil.copytree(HOST, root, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    return root


def change(root: Path, file: str, old: str, new: str) -> None:
    """Replace text of a file, which must hold it."""
    text = (root / file).read_text(encoding="utf-8")
    assert old in text, f"{file} does not hold {old!r}"
    (root / file).write_text(text.replace(old, new), encoding="utf-8")
