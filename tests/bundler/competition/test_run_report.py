"""submission.json, read: what the runner writes, and what anything else is taken for."""

import json
from pathlib import Path
from typing import Any

import pytest

from bundler.competition import run_report

WRITTEN: dict[str, Any] = {
    "state": "partial",
    "csv_sha256": "d" * 64,
    "suspicious": {"9": ["its scan ends before the last sample"]},
    "ids": {"libs": "a" * 64, "model": "b" * 64, "code": "c" * 64},
    "images": {"total": 3, "by_transfer_syntax": {"1.2.840.10008.1.2.4.90": 3}},
    "failures": {"truncated": ["7"]},
    "fallbacks": ["00714_L"],
    "seconds": {"install": 1.5, "total": 4.0},
    "warnings": ["2 images were left out for want of time"],
    "predictions": {
        "count": 2,
        "min": 0.25,
        "mean": 0.5,
        "max": 0.75,
        "positive_share": 0.5,
        "histogram": [0, 0, 1, 0, 0, 0, 0, 1, 0, 0],
    },
}


def test_reads_what_the_runner_writes(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    path.write_text(json.dumps(WRITTEN))
    report = run_report.read(path)
    assert report is not None
    assert report.ids == WRITTEN["ids"]
    assert report.failures == {"7": "truncated"}
    assert report.fallbacks == ("00714_L",)
    assert (report.state, report.csv_sha256) == ("partial", "d" * 64)
    assert report.suspicious == {"9": ("its scan ends before the last sample",)}
    assert (report.total, report.install_seconds) == (3, 1.5)
    assert report.predictions.histogram == (0, 0, 1, 0, 0, 0, 0, 1, 0, 0)


def test_reads_what_an_older_runner_wrote(tmp_path: Path) -> None:
    newer = ("state", "csv_sha256", "suspicious")
    older = {key: value for key, value in WRITTEN.items() if key not in newer}
    (tmp_path / "submission.json").write_text(json.dumps(older))
    report = run_report.read(tmp_path / "submission.json")
    assert report is not None
    assert (report.state, report.csv_sha256, report.suspicious) == ("complete", None, {})


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "{}", json.dumps(WRITTEN | {"ids": 3}), '{"ids": {}, "images"']
)
def test_anything_else_is_no_report(tmp_path: Path, content: str) -> None:
    path = tmp_path / "submission.json"
    assert run_report.read(path) is None
    path.write_text(content)
    assert run_report.read(path) is None
