"""The phantom: true schema, real DICOM files, equal bytes from equal seeds."""

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from train.phantom import draw, write_competition, write_dicom
from train.phantom.dicom import EXPLICIT_LITTLE_ENDIAN, JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as table:
        return list(csv.DictReader(table))


@pytest.fixture(scope="module")
def competition(tmp_path_factory):
    folder = tmp_path_factory.mktemp("competition")
    return write_competition(folder, patients=8, test_patients=5, prevalence=0.25, size=(256, 200))


def test_equal_seeds_give_equal_bytes_whatever_the_workers(competition, tmp_path):
    write_competition(
        tmp_path, patients=8, test_patients=5, prevalence=0.25, size=(256, 200), workers=2
    )
    assert digest(tmp_path) == digest(competition.folder)


def test_another_seed_gives_other_pixels():
    assert not np.array_equal(draw(1, (128, 100)), draw(2, (128, 100)))


def test_tables_and_files_agree(competition):
    for part in ("train", "test"):
        table = rows(competition.folder / f"{part}.csv")
        named = {f"{row['patient_id']}/{row['image_id']}.dcm" for row in table}
        images = competition.folder / f"{part}_images"
        assert named == {str(path.relative_to(images)) for path in images.rglob("*.dcm")}
        assert len(named) == len(table)
    predicted = {row["prediction_id"] for row in rows(competition.folder / "test.csv")}
    sample = [row["prediction_id"] for row in rows(competition.folder / "sample_submission.csv")]
    assert predicted == set(sample) == set(competition.test)
    assert len(sample) == len(predicted)


def test_prevalence_is_exact_and_a_breast_has_one_label(competition):
    assert sum(competition.train.values()) == 4
    labels: dict[str, set[str]] = {}
    for row in rows(competition.folder / "train.csv"):
        labels.setdefault(f"{row['patient_id']}_{row['laterality']}", set()).add(row["cancer"])
    assert {name: {str(label)} for name, label in competition.train.items()} == labels


def test_files_are_what_they_say(competition):
    kinds = set()
    for row in rows(competition.folder / "train.csv") + rows(competition.folder / "test.csv"):
        part = "test" if "prediction_id" in row else "train"
        path = competition.folder / f"{part}_images" / row["patient_id"] / f"{row['image_id']}.dcm"
        image = pydicom.dcmread(path)
        assert image.PatientID == row["patient_id"]
        assert (image.ImageLaterality, image.ViewPosition) == (row["laterality"], row["view"])
        pixels = image.pixel_array
        assert pixels.max() < 1 << image.BitsStored
        kinds.add((image.file_meta.TransferSyntaxUID, image.PhotometricInterpretation))
    assert {kind[0] for kind in kinds} == {JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1}
    assert {kind[1] for kind in kinds} == {"MONOCHROME1", "MONOCHROME2"}


@pytest.mark.parametrize("bits", [12, 14, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "transfer_syntax", [JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1, EXPLICIT_LITTLE_ENDIAN]
)
def test_what_is_written_is_read_back(tmp_path, transfer_syntax, photometric, bits):
    pixels = draw(3, (97, 75), bits=bits)
    path = tmp_path / "image.dcm"
    write_dicom(path, pixels, transfer_syntax=transfer_syntax, photometric=photometric, bits=bits)
    stored = pydicom.dcmread(path).pixel_array
    expected = pixels if photometric == "MONOCHROME2" else (1 << bits) - 1 - pixels
    np.testing.assert_array_equal(stored, expected)


@pytest.mark.parametrize(
    "transfer_syntax", [JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1, EXPLICIT_LITTLE_ENDIAN]
)
def test_signed_pixels_lie_around_zero(tmp_path, transfer_syntax):
    pixels = draw(3, (97, 75))
    write_dicom(tmp_path / "a.dcm", pixels, transfer_syntax=transfer_syntax, signed=True)
    image = pydicom.dcmread(tmp_path / "a.dcm")
    stored = image.pixel_array
    assert stored.min() < 0 < stored.max()
    np.testing.assert_array_equal(stored + image.RescaleIntercept, pixels)


def test_a_table_takes_the_place_of_the_window(tmp_path):
    pixels = draw(3, (97, 75), bits=10)
    write_dicom(tmp_path / "a.dcm", pixels, bits=10, voi="LUT")
    image = pydicom.dcmread(tmp_path / "a.dcm")
    assert "WindowCenter" not in image
    assert image.VOILUTSequence[0].LUTDescriptor == [1024, 0, 12]
    shown = pydicom.pixels.apply_voi_lut(pixels, image)
    np.testing.assert_array_equal(shown, np.rint(np.sqrt(pixels / 1023) * 4095))


def test_an_unknown_transfer_syntax_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"1\.2\.3"):
        write_dicom(tmp_path / "image.dcm", draw(1, (64, 50)), transfer_syntax="1.2.3")


def test_the_lesion_alone_tells_sick_from_healthy():
    healthy = draw(5, (256, 200))
    np.testing.assert_array_equal(draw(5, (256, 200), contrast=0.0, lesion_seed=9), healthy)
    sick = draw(5, (256, 200), contrast=1.0, lesion_seed=9)
    changed = sick != healthy
    assert 0.001 < changed.mean() < 0.35
    assert (sick.astype(int) - healthy)[changed].mean() > 0


def test_laterality_decides_the_side():
    left, right = draw(5, (128, 100)), draw(5, (128, 100), laterality="R")
    np.testing.assert_array_equal(left, right[:, ::-1])
    assert left[:, :20].mean() > left[:, -20:].mean()


@pytest.mark.parametrize("size", [(512, 400), (2048, 1600)])
def test_a_breast_pixel_costs_as_many_bits_as_a_real_one(tmp_path, size):
    pixels = draw(2, size)
    path = tmp_path / "image.dcm"
    write_dicom(path, pixels, transfer_syntax=JPEG_2000_LOSSLESS)
    bits = 8 * path.stat().st_size / np.count_nonzero(pixels)
    assert 5 <= bits <= 9


def test_the_module_needs_neither_torch_nor_pandas():
    code = (
        "import sys, train.phantom;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'pydicom')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_writes_a_competition(tmp_path):
    command = [sys.executable, "-m", "train.phantom", "--out", str(tmp_path / "c")]
    command += ["--patients", "2", "--size", "96", "80", "--prevalence", "0.5", "--workers", "1"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "4 breasts to learn from, 2 of them sick" in said
    assert len(rows(tmp_path / "c" / "train.csv")) >= 8
