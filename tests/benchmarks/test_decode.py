"""The benchmark of decoding says what the README quotes, on any folder of DICOMs."""

import json
from pathlib import Path

import pytest

from benchmarks import decode
from train.phantom import JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1, draw, write_dicom


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one phantom in each of the competition's transfer syntaxes, one inverted."""
    root = tmp_path_factory.mktemp("images")
    for name, syntax, photometric in (
        ("1/a.dcm", JPEG_2000_LOSSLESS, "MONOCHROME2"),
        ("2/b.dcm", JPEG_LOSSLESS_SV1, "MONOCHROME1"),
    ):
        (root / name).parent.mkdir()
        pixels = draw(3, (1400, 1100))
        write_dicom(root / name, pixels, transfer_syntax=syntax, photometric=photometric)
    return root


def test_the_json_holds_each_method_by_transfer_syntax(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--reference",
        str(folder),
        "--size",
        "128",
        "128",
        "--repeat",
        "1",
        "--version",
        "1",
        "--json",
    ]
    assert decode.main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["by_transfer_syntax"]) == {JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1}
    for row in (said["overall"], *said["by_transfer_syntax"].values()):
        assert row["images"] in (1, 2)
        assert all(row["images_per_s"][name] > 0 for name in ("pydicom", "dicomsdl", "ours"))
    reduced, full = (
        said["by_transfer_syntax"][uid] for uid in (JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1)
    )
    assert reduced["bytes_read_fraction"] < 0.2
    assert full["bytes_read_fraction"] > 0.99
    # Averaged by area, a full decode is far closer to the reference than a bilinear resize.
    assert full["psnr_db"]["ours"] > full["psnr_db"]["dicomsdl"] + 10
    assert said["peak_rss_bytes"]["ours"] > 0


def test_a_slow_mount_costs_the_bytes_that_are_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--reference", str(folder / "1"), "--size", "128", "128", "--repeat", "1"]
    assert decode.main([*arguments, "--throttle", "2"]) == 0
    text = capsys.readouterr().out
    assert "wall time" in text
    assert JPEG_2000_LOSSLESS in text
