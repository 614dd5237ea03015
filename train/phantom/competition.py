"""A whole competition folder: invented patients, their tables and their images."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from train.phantom.dicom import JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1, write_dicom
from train.phantom.drawing import draw

TRAIN_COLUMNS = [
    "site_id",
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "age",
    "cancer",
    "biopsy",
    "invasive",
    "BIRADS",
    "implant",
    "density",
    "machine_id",
    "difficult_negative_case",
]
TEST_COLUMNS = [
    "site_id",
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "age",
    "implant",
    "machine_id",
    "prediction_id",
]
SUBMISSION_COLUMNS = ("prediction_id", "cancer")
Row = dict[str, int | float | str]  # column → cell


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A scanner: how it stores what it sees."""

    machine_id: int
    site_id: int
    transfer_syntax: str
    photometric: str = "MONOCHROME2"
    bits: int = 12
    voi: str | None = "LINEAR"  # LINEAR, SIGMOID, or None: no window in the file
    scale: float = 1.0  # its images' side as a share of the size asked for


MACHINES = (
    Machine(machine_id=49, site_id=1, transfer_syntax=JPEG_LOSSLESS_SV1),
    Machine(machine_id=29, site_id=1, transfer_syntax=JPEG_LOSSLESS_SV1, voi=None, scale=0.8),
    Machine(
        machine_id=21,
        site_id=2,
        transfer_syntax=JPEG_2000_LOSSLESS,
        photometric="MONOCHROME1",
        voi="SIGMOID",
    ),
    Machine(machine_id=48, site_id=2, transfer_syntax=JPEG_2000_LOSSLESS, scale=0.9),
)
# The hidden test shows scanners that training has never seen.
UNSEEN_MACHINE = Machine(
    machine_id=197, site_id=2, transfer_syntax=JPEG_2000_LOSSLESS, bits=14, scale=0.95
)


@dataclass(frozen=True, kw_only=True)
class Breast:
    """One breast with what the table says of it."""

    patient_id: int
    laterality: str
    machine: Machine
    age: float | None
    density: str
    cancer: bool
    seed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One image of a breast: a row of the table and a file."""

    breast: Breast
    image_id: int
    view: str
    number: int  # among the breast's images


@dataclass(frozen=True)
class Competition:
    """What was written: the folder, and the truth about its breasts."""

    folder: Path
    train: dict[str, int] = field(default_factory=dict)  # prediction_id → cancer
    test: dict[str, int] = field(default_factory=dict)


def write_competition(
    folder: Path | str,
    *,
    patients: int = 24,
    test_patients: int = 0,
    prevalence: float = 0.02,
    contrast: float = 0.5,
    size: tuple[int, int] = (512, 400),
    seed: int = 0,
    workers: int = 1,
) -> Competition:
    """Write a competition folder in the true schema and return the truth about its breasts.

    `prevalence` is the share of breasts with cancer; the number is exact up to rounding, and
    at least one where it is above 0. `size` is the largest image; scanners differ.
    """
    folder = Path(folder)
    rng = np.random.default_rng(seed)
    train = _population(rng, patients, prevalence, MACHINES, first_patient=10_000)
    test = _population(
        rng, test_patients, prevalence, (*MACHINES, UNSEEN_MACHINE), first_patient=60_000
    )
    shots = {"train": _shoot(rng, train), "test": _shoot(rng, test)}
    _write_rows(folder / "train.csv", TRAIN_COLUMNS, map(_train_row, shots["train"]))
    _write_rows(folder / "test.csv", TEST_COLUMNS, map(_test_row, shots["test"]))
    predictions = sorted({_prediction_id(shot.breast) for shot in shots["test"]})
    _write_rows(
        folder / "sample_submission.csv",
        SUBMISSION_COLUMNS,
        ({"prediction_id": name, "cancer": round(prevalence, 6)} for name in predictions),
    )
    jobs = [
        (folder / f"{part}_images", shot, size, contrast)
        for part in ("train", "test")
        for shot in shots[part]
    ]
    for part in ("train", "test"):
        (folder / f"{part}_images").mkdir(parents=True, exist_ok=True)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            for _ in pool.map(_write_image, jobs, chunksize=8):
                pass
    else:
        for job in jobs:
            _write_image(job)
    return Competition(folder, _truth(train), _truth(test))


def _population(
    rng: np.random.Generator,
    patients: int,
    prevalence: float,
    machines: Sequence[Machine],
    first_patient: int,
) -> list[Breast]:
    """Invent patients with two breasts each; exactly the asked share of breasts is sick."""
    sick = np.zeros(2 * patients, bool)
    count = round(2 * patients * prevalence)
    sick[: max(count, 1 if prevalence > 0 else 0)] = True
    rng.shuffle(sick)
    breasts = []
    for index in range(patients):
        machine = machines[index % len(machines)]
        age = None if rng.random() < 0.02 else float(np.clip(rng.normal(58, 10), 28, 89).round())
        density = str(rng.choice(list("ABCD"), p=[0.1, 0.42, 0.42, 0.06]))
        patient_id = first_patient + index
        for side, laterality in enumerate("LR"):
            breasts.append(
                Breast(
                    patient_id=patient_id,
                    laterality=laterality,
                    machine=machine,
                    age=age,
                    density=density,
                    cancer=bool(sick[2 * index + side]),
                    seed=(int(rng.integers(2**31)), side),
                )
            )
    return breasts


def _shoot(rng: np.random.Generator, breasts: Iterable[Breast]) -> list[Shot]:
    """Take two to four images of each breast, with distinct and unordered image ids."""
    views = []
    for breast in breasts:
        extra = ["AT", "ML", "LM", "LMO"][int(rng.integers(4))]
        taken = ["CC", "MLO"] + ([extra] if rng.random() < 0.06 else [])
        views += [(breast, view, number) for number, view in enumerate(taken)]
    ids = rng.choice(2**30, size=len(views), replace=False)
    return [
        Shot(breast=breast, image_id=int(image_id), view=view, number=number)
        for (breast, view, number), image_id in zip(views, ids, strict=True)
    ]


def _prediction_id(breast: Breast) -> str:
    return f"{breast.patient_id}_{breast.laterality}"


def _truth(breasts: Iterable[Breast]) -> dict[str, int]:
    return {_prediction_id(breast): int(breast.cancer) for breast in breasts}


def _train_row(shot: Shot) -> Row:
    breast = shot.breast
    rng = np.random.default_rng(breast.seed)  # by breast: its images agree
    biopsy = breast.cancer or rng.random() < 0.04
    difficult = not breast.cancer and (biopsy or rng.random() < 0.1)
    first_site = breast.machine.site_id == 1  # only one site reports these two
    return {
        **_shared_row(shot),
        "cancer": int(breast.cancer),
        "biopsy": int(biopsy),
        "invasive": int(breast.cancer and rng.random() < 0.7),
        "BIRADS": (0.0 if breast.cancer or difficult else 1.0) if first_site else "",
        "density": breast.density if first_site else "",
        "difficult_negative_case": bool(difficult),
    }


def _test_row(shot: Shot) -> Row:
    return {**_shared_row(shot), "prediction_id": _prediction_id(shot.breast)}


def _shared_row(shot: Shot) -> Row:
    breast = shot.breast
    return {
        "site_id": breast.machine.site_id,
        "patient_id": breast.patient_id,
        "image_id": shot.image_id,
        "laterality": breast.laterality,
        "view": shot.view,
        "age": "" if breast.age is None else breast.age,
        "implant": 0,
        "machine_id": breast.machine.machine_id,
    }


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_image(job: tuple[Path, Shot, tuple[int, int], float]) -> None:
    images, shot, size, contrast = job
    breast, machine = shot.breast, shot.breast.machine
    patient_folder = images / str(breast.patient_id)
    patient_folder.mkdir(exist_ok=True)
    pixels = draw(
        (*breast.seed, shot.number),
        (round(size[0] * machine.scale), round(size[1] * machine.scale)),
        laterality=breast.laterality,
        view=shot.view,
        density={"A": 0.35, "B": 0.5, "C": 0.75, "D": 0.95}[breast.density],
        contrast=contrast if breast.cancer else 0.0,
        bits=machine.bits,
        lesion_seed=breast.seed,
        trait_seed=(breast.seed[0],),  # both breasts of a patient are alike
    )
    write_dicom(
        patient_folder / f"{shot.image_id}.dcm",
        pixels,
        transfer_syntax=machine.transfer_syntax,
        photometric=machine.photometric,
        bits=machine.bits,
        voi=machine.voi,
        laterality=breast.laterality,
        view=shot.view,
        patient_id=str(breast.patient_id),
        image_id=str(shot.image_id),
        machine_id=str(machine.machine_id),
        age=breast.age,
    )
