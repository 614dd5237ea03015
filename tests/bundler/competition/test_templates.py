"""Templates: filled, read back, and inferred from values."""

import pytest

from bundler.competition import fresh, templates
from bundler.errors import InputError


def test_fills_a_template() -> None:
    row = {"patient_id": "007", "image_id": 12}
    assert templates.render("a/{patient_id}/{image_id}.dcm", row) == "a/007/12.dcm"
    with pytest.raises(InputError, match="names nobody"):
        templates.render("{nobody}.png", row)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("train/{id}.png", "train/a1.png", {"id": "a1"}),
        ("train/{id}.png", "train/deep/a1.png", None),
        ("train/{id}/", "train/7/x/y.dcm", {"id": "7"}),
        ("train/{id}/*.dcm", "train/7/3.dcm", {"id": "7"}),
        ("train/{id}/*.dcm", "train/7/3.png", None),
        ("s/id={id}/part-0.parquet", "s/id=ab/part-0.parquet", {"id": "ab"}),
    ],
)
def test_reads_the_values_of_a_path(
    template: str, path: str, values: dict[str, str] | None
) -> None:
    assert templates.parse_path(template, path) == values


@pytest.mark.parametrize(
    ("values", "rows", "template"),
    [
        (["7_L", "8_R"], [{"p": "7", "s": "L"}, {"p": "8", "s": "R"}], "{p}_{s}"),
        (["7_L1", "7_L2"], [{"p": "7", "s": "L1"}, {"p": "7", "s": "L2"}], "{p}_{s}"),
        (["ID_7", "ID_8"], [{"p": "7"}, {"p": "8"}], "ID_{p}"),
        (["7_left_l1_l2"], [{"p": "7", "c": "left", "l": "l1_l2"}], "{p}_{c}_{l}"),
        (["x", "y"], [{"p": "7"}, {"p": "8"}], None),
        (["7_L", "8_L"], [{"p": "7", "s": "L"}, {"p": "8", "s": "R"}], "{p}_L"),
    ],
)
def test_infers_the_template_that_fits_all_rows(
    values: list[str], rows: list[dict[str, str]], template: str | None
) -> None:
    assert templates.infer(values, rows, list(rows[0])) == template


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("10006", r"[1-9]\d{4}"),
        ("00012", r"0\d{4}"),
        ("9e3779b1", r"[0-9a-f]{8}"),
        ("1.2.826.0.1.3680043.5", r"1\.2\.826\.0\.1\.3680043\.[1-9]\d{5}"),
        ("case12_day3", r"case\d+_day\d{6}"),
        ("q1", r"q\d{6}"),
        ("3", r"[1-9]\d{5}"),
    ],
)
def test_new_ids_have_the_form_of_the_old(value: str, form: str) -> None:
    import re

    made = {fresh.like(value, str(seed)) for seed in range(50)}
    assert value not in made
    assert len(made) > 40, "they repeat"
    assert all(re.fullmatch(form, one) for one in made), made
    assert fresh.like(value, "a") == fresh.like(value, "a")
