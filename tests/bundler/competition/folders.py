"""Small competitions of very different shape, as their folders look when downloaded."""

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Row = Mapping[str, object]
UID = "1.2.826.0.1.3680043"


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = ()) -> None:
    """Write rows as a csv file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a csv file's rows."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_files(root: Path, names: Iterable[str]) -> None:
    """Write a small file for each name, with its name inside."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"content of {name}".encode())


def tabular(root: Path, rows: int = 60) -> Path:
    """Rows of numbers and categories: train.csv, test.csv, an integer id."""
    draw = random.Random(1)

    def row(number: int) -> dict[str, object]:
        return {
            "id": number,
            "area": round(draw.uniform(10, 90), 2),
            "rooms": draw.choice([1, 2, 3, ""]),
            "colour": draw.choice(["red", "green", "blue"]),
        }

    train = [row(n) | {"price": round(draw.uniform(100, 900), 1)} for n in range(rows)]
    test = [row(n) for n in range(rows, rows + 10)]
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", test)
    write_csv(root / "sample_submission.csv", [{"id": r["id"], "price": 0.0} for r in test])
    return root


def images(root: Path, count: int = 24) -> Path:
    """PNG images by hexadecimal id, three classes, a patient's images together."""
    names = [f"{n * 2654435761 % 2**32:08x}" for n in range(1, count + 4)]
    kinds = ("rust", "scab", "healthy")
    train = [
        {"image_id": name, "patient_id": f"P{n // 2:03d}", "label": kinds[n % 3]}
        for n, name in enumerate(names[:-3])
    ]
    test = [{"image_id": n, "patient_id": f"Q{i:03d}"} for i, n in enumerate(names[-3:])]
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", test)
    sample = [{"image_id": r["image_id"], **dict.fromkeys(kinds, 0.33)} for r in test]
    write_csv(root / "sample_submission.csv", sample)
    write_files(root, (f"train_images/{r['image_id']}.png" for r in train))
    write_files(root, (f"test_images/{r['image_id']}.png" for r in test))
    return root


LEVELS = ("l1_l2", "l2_l3", "l3_l4")
FINDINGS = ("spinal_canal_stenosis", "left_foraminal_narrowing")


def dicom_long(root: Path, studies: int = 8) -> Path:
    """DICOM series by study; a row of the submission per study, finding and level."""
    series = [
        {"study_id": 4000 + s, "series_id": 90000 + 10 * s + k, "series_description": name}
        for s in range(studies + 1)
        for k, name in enumerate(("Axial T2", "Sagittal T1"))
    ]
    last = 4000 + studies
    split = {"train": [r for r in series if r["study_id"] != last], "test": series[-2:]}
    names = [f"{finding}_{level}" for finding in FINDINGS for level in LEVELS]
    grades = ("Normal/Mild", "Moderate", "Severe")
    for name, rows in split.items():
        write_csv(root / f"{name}_series_descriptions.csv", rows)
        files = (
            f"{name}_images/{r['study_id']}/{r['series_id']}/{n}.dcm" for r in rows for n in (1, 2)
        )
        write_files(root, files)
    labels = [
        {"study_id": 4000 + s} | {name: grades[(s + k) % 3] for k, name in enumerate(names)}
        for s in range(studies)
    ]
    write_csv(root / "train.csv", labels)
    places = [{"study_id": 4000 + s, "level": "L1/L2", "x": 1.5} for s in range(studies)]
    write_csv(root / "train_label_coordinates.csv", places)
    third = 1 / 3
    sample = [
        {"row_id": f"{last}_{n}", "normal_mild": third, "moderate": third, "severe": third}
        for n in names
    ]
    write_csv(root / "sample_submission.csv", sample)
    return root


def repeated(root: Path, studies: int = 6) -> Path:
    """A row per study and vertebra in the test table, a row per study in training."""
    kinds = ("C1", "C2", "patient_overall")
    uid = [f"{UID}.{n}" for n in range(studies + 3)]
    train = [
        {"StudyInstanceUID": u, "patient_overall": n % 2, "C1": n % 2, "C2": 0}
        for n, u in enumerate(uid[:studies])
    ]
    test = [
        {"row_id": f"{u}_{kind}", "StudyInstanceUID": u, "prediction_type": kind}
        for u in uid[studies:]
        for kind in kinds
    ]
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", test)
    write_csv(
        root / "sample_submission.csv", [{"row_id": r["row_id"], "fractured": 0.5} for r in test]
    )
    write_files(root, (f"train_images/{u}/{n}.dcm" for u in uid[:studies] for n in range(1, 4)))
    write_files(root, (f"test_images/{u}/{n}.dcm" for u in uid[studies:] for n in range(1, 4)))
    return root


def long_rows(root: Path, studies: int = 8) -> Path:
    """A row per study and finding in both tables; a folder with folders of any name per study."""
    rows = {"train": range(studies), "test": range(studies, studies + 1)}
    for name, numbers in rows.items():
        made = [
            {"row_id": f"{700 + n}_{finding}", "study": 700 + n, "finding": finding}
            | ({"present": (n + k) % 2} if name == "train" else {})
            for n in numbers
            for k, finding in enumerate(("fracture", "tumor"))
        ]
        write_csv(root / f"{name}.csv", made)
        series = (f"{name}_series/{700 + n}/{UID}.{n}.{k}" for n in numbers for k in (1, 2))
        write_files(root, (f"{folder}/{s}.dcm" for folder in series for s in (1, 2)))
    sample = [{"row_id": row["row_id"], "present": 0.5} for row in made]
    write_csv(root / "sample_submission.csv", sample)
    return root


def masks(root: Path, count: int = 12) -> Path:
    """Segmentation: run lengths to be written, masks beside the training images."""
    names = [f"img{n:04d}" for n in range(count + 2)]
    train = [
        {"id": name, "organ": "lung", "rle": f"{n + 1} 3 {n + 9} 4"}
        for n, name in enumerate(names[:count])
    ]
    test = [{"id": name, "organ": "lung"} for name in names[count:]]
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", test)
    write_csv(root / "sample_submission.csv", [{"id": r["id"], "rle": ""} for r in test])
    for row in train:
        write_files(root, [f"train_images/{row['id']}.tif", f"train_masks/{row['id']}.png"])
    write_files(root, (f"test_images/{row['id']}.tif" for row in test))
    return root


def class_rows(root: Path, count: int = 6) -> Path:
    """No test table, an id that repeats: a row for each image and class."""
    organs = ("stomach", "large_bowel", "small_bowel")
    train = [
        {"id": f"case{n}_day1", "class": organ, "segmentation": "" if n % 2 else "3 4 9 2"}
        for n in range(count)
        for organ in organs
    ]
    write_csv(root / "train.csv", train)
    sample = [{"id": "case99_day1", "class": organ, "predicted": ""} for organ in organs]
    write_csv(root / "sample_submission.csv", sample)
    write_files(root, (f"train/case{n}_day1.png" for n in range(count)))
    write_files(root, ["test/case99_day1.png"])
    return root


def subtypes(root: Path, count: int = 9) -> Path:
    """No test table, ids with the finding in them: ID_0001_epidural."""
    kinds = ("epidural", "subdural", "any")
    train = [
        {"ID": f"ID_{n:04x}_{kind}", "Label": (n + k) % 2}
        for n in range(count)
        for k, kind in enumerate(kinds)
    ]
    write_csv(root / "stage_2_train.csv", train)
    test = [{"ID": f"ID_{n:04x}_{kind}", "Label": 0.5} for n in (200, 201) for kind in kinds]
    write_csv(root / "stage_2_sample_submission.csv", test)
    write_files(root, (f"stage_2_train/ID_{n:04x}.dcm" for n in range(count)))
    write_files(root, (f"stage_2_test/ID_{n:04x}.dcm" for n in (200, 201)))
    return root


def zeros(root: Path, count: int = 8) -> Path:
    """Folders per unit whose names are numbers with leading zeros; no test table."""
    ids = [f"{n:05d}" for n in range(count + 2)]
    write_csv(
        root / "train_labels.csv",
        [{"BraTS21ID": i, "MGMT_value": n % 2} for n, i in enumerate(ids[:count])],
    )
    write_csv(
        root / "sample_submission.csv", [{"BraTS21ID": i, "MGMT_value": 0.5} for i in ids[count:]]
    )
    for number, name in enumerate(ids):
        split = "train" if number < count else "test"
        scans = ("FLAIR", "T1w")
        write_files(root, (f"{split}/{name}/{s}/Image-{k}.dcm" for s in scans for k in (1, 2)))
    return root


def series(root: Path, count: int = 10) -> Path:
    """Time series: a partitioned parquet folder per set, a csv file with a row per child."""
    import pyarrow
    from pyarrow import parquet

    ids = [f"{n * 40503 % 65536:08x}" for n in range(1, count + 3)]
    train = [
        {"id": i, "age": 5 + n, "season": "Fall", "sii": n % 4} for n, i in enumerate(ids[:-2])
    ]
    test = [{"id": i, "age": 9, "season": "Spring"} for i in ids[-2:]]
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", test)
    write_csv(root / "sample_submission.csv", [{"id": r["id"], "sii": 0} for r in test])
    for name, rows in (("train", train), ("test", test)):
        for row in rows:
            folder = root / f"series_{name}.parquet" / f"id={row['id']}"
            folder.mkdir(parents=True)
            parquet.write_table(pyarrow.table({"step": [0, 1, 2]}), folder / "part-0.parquet")
    return root


def events(root: Path, count: int = 8) -> Path:
    """Parquet tables: one row per step in one file, answers as a parquet submission."""
    import pyarrow
    from pyarrow import parquet

    def write(name: str, rows: list[dict[str, object]]) -> None:
        root.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows), root / name)

    ids = list(range(500, 500 + count + 2))
    for name, own in (("train", ids[:count]), ("test", ids[count:])):
        extra = [{"target": i % 3} if name == "train" else {} for i in own]
        write(
            f"{name}.parquet",
            [{"eeg_id": i, "age": 40.5} | e for i, e in zip(own, extra, strict=True)],
        )
        steps = [{"eeg_id": i, "step": s, "value": s * 0.5} for i in own for s in range(4)]
        write(f"{name}_signals.parquet", steps)
    write("sample_submission.parquet", [{"eeg_id": i, "target": 0} for i in ids[count:]])
    return root


def no_train(root: Path) -> Path:
    """Prompts to be answered: a test table, and nothing to learn from."""
    test = [{"id": f"q{n}", "prompt": f"What is {n} + {n}?"} for n in range(3)]
    write_csv(root / "test.csv", test)
    write_csv(root / "sample_submission.csv", [{"id": r["id"], "answer": ""} for r in test])
    return root


def multi_target(root: Path, count: int = 30) -> Path:
    """Essays with six scores each, ids of text."""
    names = ("cohesion", "syntax", "grammar")
    ids = [f"{n * 2654435761 % 2**32:08X}" for n in range(1, count + 4)]
    train = [
        {"text_id": i, "full_text": f'An essay,\nwith "lines" {n}'}
        | dict.fromkeys(names, 1.0 + n % 9 / 2)
        for n, i in enumerate(ids[:-3])
    ]
    test = [{"text_id": i, "full_text": "Short."} for i in ids[-3:]]
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", test)
    write_csv(
        root / "sample_submission.csv",
        [{"text_id": i, **dict.fromkeys(names, 3.0)} for i in ids[-3:]],
    )
    return root


VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))


def mammography(root: Path, patients: int = 6) -> Path:
    """The mammography competition's own columns and folders."""

    def rows(first: int, count: int, labelled: bool) -> list[dict[str, object]]:
        made: list[dict[str, object]] = []
        for patient in range(first, first + count):
            for k, (side, view) in enumerate(
                (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))
            ):
                row: dict[str, object] = {
                    "site_id": 1 + patient % 2,
                    "patient_id": patient,
                    "image_id": 460000000 + patient * 1000 + k,
                    "laterality": side,
                    "view": view,
                    "age": 50.0 + k,
                }
                if labelled:
                    row |= {"cancer": patient % 2, "biopsy": 0, "invasive": 0, "BIRADS": ""}
                row |= {"implant": 0}
                row |= {"density": ""} if labelled else {}
                row |= {"machine_id": 29}
                row |= (
                    {"difficult_negative_case": False}
                    if labelled
                    else {"prediction_id": f"{patient}_{side}"}
                )
                made.append(row)
        return made

    train, test = rows(10006, patients, True), rows(10900, 1, False)
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", test)
    sample = [{"prediction_id": f"10900_{side}", "cancer": 0.021168} for side in "LR"]
    write_csv(root / "sample_submission.csv", sample)
    for name, own in (("train", train), ("test", test)):
        write_files(root, (f"{name}_images/{r['patient_id']}/{r['image_id']}.dcm" for r in own))
    return root


def paths(root: Path, images: int = 24) -> Path:
    """Long format as csiro-biomass: rows of an image and a target, the image by its path alone."""
    targets = ("Dry_Dead_g", "Dry_Total_g", "GDM_g")

    def rows(folder: str, numbers: Iterable[int]) -> list[dict[str, object]]:
        return [
            {
                "sample_id": f"ID{n * 2654435761 % 2**32}__{name}",
                "image_path": f"{folder}/ID{n * 2654435761 % 2**32}.jpg",
                "target_name": name,
            }
            for n in numbers
            for name in targets
        ]

    train, test = rows("train", range(1, images + 1)), rows("test", [images + 1])
    learned = [{**row, "height": n // 3 / 7, "target": n / 10} for n, row in enumerate(train)]
    write_csv(root / "train.csv", learned)
    write_csv(root / "test.csv", test)
    sample = [{"sample_id": row["sample_id"], "target": 0.0} for row in test]
    write_csv(root / "sample_submission.csv", sample)
    write_files(root, dict.fromkeys(str(row["image_path"]) for row in [*train, *test]))
    return root


def anonymous(root: Path, rows: int = 40, first: int = 1) -> Path:
    """No table has an id: the submission counts the rows of the test table, from `first`."""
    draw = random.Random(3)

    def row() -> dict[str, object]:
        return {f"pixel{n}": draw.randrange(256) for n in range(6)}

    train = [{"label": draw.randrange(10), **row()} for _ in range(rows)]
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", [row() for _ in range(12)])
    sample = [{"ImageId": n, "Label": 0} for n in range(first, first + 12)]
    write_csv(root / "sample_submission.csv", sample)
    return root


def forecast(root: Path, days: int = 20) -> Path:
    """Sales of some shops: only the test table counts its rows, on from the training rows."""
    draw = random.Random(4)

    def rows(first: int, count: int) -> list[dict[str, object]]:
        return [
            {"date": f"2024-01-{day:02d}", "store": store, "promotion": draw.randrange(100)}
            for day in range(first, first + count)
            for store in (1, 2, 3)
        ]

    train = [row | {"sales": draw.randrange(500)} for row in rows(1, days)]
    test = [{"id": 3000 + n, **row} for n, row in enumerate(rows(days + 1, 3))]
    write_csv(root / "train.csv", train)
    write_csv(root / "test.csv", test)
    write_csv(root / "sample_submission.csv", [{"id": row["id"], "sales": 0} for row in test])
    return root
