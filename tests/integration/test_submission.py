"""The main job from end to end, and what bad input does to it."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler import demo
from tests.integration.conftest import Demo, Submit


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def report_of(folder: Path) -> dict[str, Any]:
    """Return submission.json."""
    report: dict[str, Any] = json.loads((folder / "submission.json").read_text())
    return report


def images_of(mounted: Path) -> Path:
    """Return the folder of the test images."""
    (images,) = mounted.glob("competitions/*/test_images")
    return images


# --- the demo ---


def test_predicts_every_breast_of_the_test_set(demonstrated: Demo) -> None:
    rows = rows_of(demonstrated.out / "working" / "submission.csv")
    test = rows_of(demonstrated.out / "competition" / "test.csv")
    assert [row["prediction_id"] for row in rows] == list(
        dict.fromkeys(row["prediction_id"] for row in test)
    )
    sample = rows_of(demonstrated.out / "competition" / "sample_submission.csv")
    assert {row["prediction_id"] for row in rows} == {row["prediction_id"] for row in sample}
    values = [float(row["cancer"]) for row in rows]
    assert all(0 <= value <= 1 for value in values)
    assert len(set(values)) > 5


def test_says_what_it_was_made_of(demonstrated: Demo) -> None:
    report = report_of(demonstrated.out / "working")
    for kind, identity in report["ids"].items():
        manifest = json.loads((demonstrated.out / kind / "bundle.json").read_text())
        assert manifest["id"] == identity
    assert report["failures"] == {}
    assert report["fallbacks"] == []
    assert report["images"]["total"] == 29
    syntaxes = {uid.rpartition(".")[2] for uid in report["images"]["by_transfer_syntax"]}
    assert {"70", "90"} <= syntaxes  # JPEG Lossless SV1, JPEG 2000 Lossless
    assert len(syntaxes) >= 3
    assert report["predictions"]["count"] == 14


def test_notebook_shows_the_banner(demonstrated: Demo) -> None:
    notebook = json.loads((demonstrated.out / "working" / "executed.ipynb").read_text())
    text = "".join(
        "".join(output.get("text", ()))
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    )
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout
    assert f"commit {commit[:12]}" in text
    assert "fold 0" in text
    assert "onnxruntime==" in text
    assert "model.onnx  proof: none" in text


def test_submission_predicts_what_the_laptop_predicts(
    demonstrated: Demo, mounted: Path, submit: Submit, tmp_path: Path
) -> None:
    result = submit(mounted)
    assert result.returncode == 0, result.stderr
    here = rows_of(tmp_path / "submission.csv")
    there = rows_of(demonstrated.out / "working" / "submission.csv")
    for one, other in zip(here, there, strict=True):
        assert one["prediction_id"] == other["prediction_id"]
        assert float(one["cancer"]) == pytest.approx(float(other["cancer"]), abs=1e-5)


def test_builds_twice_with_one_id(demonstrated: Demo, tmp_path: Path) -> None:
    manifest = json.loads((demonstrated.out / "model" / "bundle.json").read_text())
    name = manifest["models"][0]["checkpoints"][0]["name"]
    demo.build_bundles(tmp_path, demonstrated.out / "runs" / name)
    for kind in ("libs", "model", "code"):
        again = json.loads((tmp_path / kind / "bundle.json").read_text())
        assert again == json.loads((demonstrated.out / kind / "bundle.json").read_text())


# --- bundles that are not what they were ---


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("datasets/*/*libs/onnxruntime*.whl.tmp", 4),
        ("datasets/*/*model/*.onnx", 4),
        ("datasets/*/*code/tree.zip.tmp", 4),
    ],
)
def test_refuses_a_tampered_file(
    mounted: Path, submit: Submit, tmp_path: Path, pattern: str, code: int
) -> None:
    (path,) = mounted.glob(pattern)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    result = submit(mounted, "--scratch", str(tmp_path / "fresh"))
    assert result.returncode == code
    assert f"{path.name} was altered" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "submission.csv").exists()


def change_manifest(mounted: Path, kind: str, change: Callable[[str], str]) -> None:
    """Replace the text of a bundle's manifest."""
    (path,) = mounted.glob(f"datasets/*/*{kind}/bundle.json")
    text = path.read_text()
    path.unlink()
    path.write_text(change(text))


@pytest.mark.parametrize("kind", ["libs", "model", "code"])
def test_refuses_another_format_and_a_tampered_manifest(
    mounted: Path, submit: Submit, kind: str
) -> None:
    change_manifest(mounted, kind, lambda text: text.replace('"format": 2', '"format": 1'))
    result = submit(mounted)
    assert result.returncode == 4
    assert "has format 1; this version of rsna-bundle reads format 2 only" in result.stderr
    change_manifest(
        mounted, kind, lambda text: text.replace('"format": 1', '"format": 2, "more": 0')
    )
    result = submit(mounted)
    assert result.returncode == 4
    assert "the field more is not known to this version" in result.stderr


def test_accepts_bundles_that_an_upload_unpacked(
    mounted: Path, submit: Submit, tmp_path: Path
) -> None:
    for archive in mounted.glob("datasets/*/*/*.tmp"):
        inner = archive.with_name(archive.name.removesuffix(".tmp")) / "inner"
        shutil.unpack_archive(archive, tmp_path / "unpacked", "zip")
        archive.unlink()
        inner.parent.mkdir()
        (tmp_path / "unpacked").rename(inner.parent / inner.parent.name)
    result = submit(mounted, "--scratch", str(tmp_path / "fresh"))
    assert result.returncode == 0, result.stderr
    assert len(rows_of(tmp_path / "submission.csv")) == 14


def test_refuses_two_bundles_of_one_kind_and_a_stale_one(mounted: Path, submit: Submit) -> None:
    (code,) = mounted.glob("datasets/*/*code")
    ours = json.loads((code / "bundle.json").read_text())["id"]
    shutil.copytree(code, mounted / "other")
    from inference.boot.manifest import content_id

    manifest = json.loads((code / "bundle.json").read_text()) | {"commit": "0" * 40}
    manifest["id"] = content_id(manifest)
    (mounted / "other" / "bundle.json").write_text(json.dumps(manifest))
    result = submit(mounted)
    assert result.returncode == 4
    assert "Several code bundles are mounted" in result.stderr
    assert submit(mounted, "--expect-id", f"code={ours}").returncode == 0
    result = submit(mounted, "--expect-id", f"code={'f' * 64}")
    assert result.returncode == 4
    assert "the dataset has another version" in result.stderr


# --- images that cannot be read ---


def damage(mounted: Path) -> dict[str, str]:
    """Damage four images, each in another way; return the kind of failure by image id."""
    images = sorted(images_of(mounted).glob("6*/*.dcm"))[:8:2]
    _, empty, truncated, text = images
    content = truncated.read_bytes()
    for path in images:
        path.unlink()
    empty.touch()
    truncated.write_bytes(content[: len(content) // 3])
    text.write_text("<html>not found</html>\n" * 50)
    kinds = ("missing", "empty", "truncated", "not-dicom")
    return dict(zip((path.stem for path in images), kinds, strict=True))


def test_stops_where_too_many_images_fail(mounted: Path, submit: Submit, tmp_path: Path) -> None:
    damaged = damage(mounted)
    result = submit(mounted)
    assert result.returncode == 6
    assert "4 of 29 images could not be read" in result.stderr
    assert all(f"{image} ({kind})" in result.stderr for image, kind in damaged.items())
    assert "4 of 29 images failed: that is more than 1.0%" in report_of(tmp_path)["error"]
    assert len(rows_of(tmp_path / "submission.csv")) == 14  # what there is, for who wants it


def test_predicts_a_breast_from_its_other_images(
    demonstrated: Demo, mounted: Path, submit: Submit, tmp_path: Path
) -> None:
    damaged = damage(mounted)
    result = submit(mounted, KAGGLE_IS_COMPETITION_RERUN="1")
    assert result.returncode == 0, result.stderr
    assert "warning: 4 of 29 images could not be read" in result.stderr
    report = report_of(tmp_path)
    said = {image: kind for kind, images in report["failures"].items() for image in images}
    assert said == damaged
    assert report["fallbacks"] == []
    assert len(rows_of(tmp_path / "submission.csv")) == 14


def test_names_breasts_without_a_readable_image(
    mounted: Path, submit: Submit, tmp_path: Path
) -> None:
    lost = {row["image_id"] for row in table_of(mounted) if row["prediction_id"] == "60000_L"}
    for path in images_of(mounted).glob("*/*.dcm"):
        if path.stem in lost:
            path.unlink()
    result = submit(mounted, "--max-failures", "0.5")
    assert result.returncode == 0, result.stderr
    report = report_of(tmp_path)
    assert report["fallbacks"] == ["60000_L"]
    written = {row["prediction_id"]: row["cancer"] for row in rows_of(tmp_path / "submission.csv")}
    assert float(written["60000_L"]) == report["models"][0]["prevalence"]


def table_of(mounted: Path) -> list[dict[str, str]]:
    """Return the rows of test.csv."""
    (path,) = mounted.glob("competitions/*/test.csv")
    return rows_of(path)


# --- time ---


def test_stops_at_the_time_limit(mounted: Path, submit: Submit, tmp_path: Path) -> None:
    result = submit(mounted, "--time-limit", "0.1")
    assert result.returncode == 7
    assert "29 of 29 images to do" in result.stderr
    assert not (tmp_path / "submission.csv").exists()


def test_fallbacks_alone_are_no_submission_at_the_time_limit_either(
    mounted: Path, submit: Submit, tmp_path: Path
) -> None:
    result = submit(
        mounted, "--time-limit", "0.1", "--at-deadline", "coarse", KAGGLE_IS_COMPETITION_RERUN="1"
    )
    assert result.returncode == 7, result.stderr
    assert not (tmp_path / "submission.csv").exists()
    report = report_of(tmp_path)
    assert report["state"] == "fallbacks only"
    assert report["deadline"]["skipped_images"] == 29
    assert len(report["fallbacks"]) == 14
    assert "29 images were left out for want of time" in report["warnings"]
