"""Which images stand for all: patients of every machine, transfer syntaxes in their shares."""

from collections import Counter
from pathlib import Path

import pytest

from bundler.competition.screening import mixture
from bundler.competition.screening.mixture import Mixture
from train.phantom import JPEG_2000_LOSSLESS as J2K
from train.phantom import JPEG_LOSSLESS_SV1 as SV1
from train.phantom import write_competition


def rows(machines: dict[str, int]) -> list[dict[str, str]]:
    """Return two images of each patient; so many patients of each machine."""
    return [
        {"patient_id": f"{m}-{n}", "image_id": f"{m}-{n}-{i}", "site_id": "1", "machine_id": m}
        for m, count in machines.items()
        for n in range(count)
        for i in range(2)
    ]


@pytest.mark.parametrize("number", [3, 10, 99, 1000])
def test_patients_are_drawn_from_every_machine_in_its_share(number: int) -> None:
    have = {"21": 50, "29": 30, "49": 20}
    chosen = mixture.choose(rows(have), number)
    assert len(chosen) == min(number, 100)
    taken = Counter(name.split("-")[0] for name in chosen)
    for machine, count in have.items():
        assert abs(taken[machine] - len(chosen) * count / 100) <= 1
    assert chosen == mixture.choose(rows(have), number)


def test_every_value_of_the_columns_occurs() -> None:
    everyone = rows({"21": 400, "29": 2})
    for row in everyone:
        row |= {"view": "CC", "implant": "0", "laterality": "L"}
    everyone[333] |= {"view": "LMO"}
    everyone[555] |= {"implant": "1", "view": "AT"}
    chosen = mixture.choose(everyone, 3)
    assert {everyone[333]["patient_id"], everyone[555]["patient_id"]} <= chosen
    assert any(name.startswith("29-") for name in chosen)
    assert len(chosen) <= 6
    assert mixture.choose(everyone, 0) == set()  # the awkward images alone


def test_work_is_ordered_in_the_shares_of_the_hidden_test() -> None:
    syntaxes = {"a": J2K, "b": SV1, "c": SV1, "d": SV1}
    order = Mixture(syntaxes=syntaxes, shares={J2K: 0.75, SV1: 0.25}).order(400)
    for some in (order, order[:40], order[200:240]):  # everywhere, not only in the end
        assert Counter(syntaxes[name] for name in some) == {
            J2K: 3 * len(some) / 4,
            SV1: len(some) / 4,
        }
    assert set(order) == set(syntaxes)


def test_what_the_sample_lacks_is_left_out_of_the_weights_and_named() -> None:
    some = Mixture(syntaxes={"a": J2K, "b": SV1}, shares={J2K: 0.2, SV1: 0.2, "other": 0.6})
    assert some.weights == {J2K: 0.5, SV1: 0.5}
    assert some.unseen == {"other": 0.6}
    assert Mixture(syntaxes={"a": J2K, "b": SV1}).weights == {J2K: 0.5, SV1: 0.5}
    assert Mixture().order(10) == []


def test_shares_are_read_from_the_files(tmp_path: Path) -> None:
    competition = write_competition(tmp_path, patients=6, prevalence=0.3, size=(96, 80)).folder
    images = competition / "train_images"
    rows = rows_of(competition)
    (images / rows[0]["patient_id"] / f"{rows[0]['image_id']}.dcm").write_bytes(b"no DICOM")
    (images / rows[1]["patient_id"] / f"{rows[1]['image_id']}.dcm").unlink()
    syntaxes = mixture.syntaxes(images, rows)
    assert set(syntaxes) == {row["image_id"] for row in rows[2:]}
    assert set(syntaxes.values()) == {J2K, SV1}
    shares = mixture.survey(images, rows)
    assert shares == {
        name: count / len(syntaxes) for name, count in Counter(syntaxes.values()).items()
    }


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a competition's train.csv."""
    import csv

    with (folder / "train.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))
