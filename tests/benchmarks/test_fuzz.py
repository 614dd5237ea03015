"""Damaged files cost themselves, and no worker."""

from pathlib import Path

from benchmarks import fuzz


def test_a_few_hundred_damaged_files(tmp_path: Path) -> None:
    said = fuzz.fuzz(files=500, workers=2, seed=11, keep=tmp_path / "findings")
    assert said["findings"] == 0
    assert not (tmp_path / "findings").exists()
    assert sum(said["outcomes"].values()) == 500
    assert {"read", "corrupt", "truncated"} <= set(said["outcomes"])
    assert said["peak_rss_bytes"] < fuzz.MOST_BYTES
