"""The benchmark of the launcher runs the script all three ways."""

from pathlib import Path

from benchmarks import launch


def test_one_round(tmp_path: Path) -> None:
    notebook = launch.write(tmp_path)
    figures = launch.measure(notebook, 1)
    assert {name: len(seconds) for name, seconds in figures.items()} == {
        "direct": 1,
        "overhead, warm": 1,
        "overhead, cold": 1,
    }
    assert (tmp_path / "working" / "submission.csv").is_file()
    assert (tmp_path / "working" / "run.json").is_file()
    assert (tmp_path / "warm").is_dir()  # the one that later rounds find filled
    assert not (tmp_path / "cold").exists()
