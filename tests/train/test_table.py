"""train.csv: what is read and what is refused."""

import pytest

from train import table
from train.errors import DataError

HEAD = "site_id,patient_id,image_id,laterality,view,age,cancer,machine_id\n"
ROWS = "1,10,100,L,CC,50,0,49\n1,10,101,L,MLO,50,0,49\n1,10,102,R,CC,50,1,49\n"


def refused(tmp_path, text: str, match: str) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=match):
        table.read(tmp_path)


def test_a_sound_table_is_read(tmp_path):
    (tmp_path / "train.csv").write_text(HEAD + ROWS)
    rows = table.read(tmp_path)
    assert rows.prediction_id.tolist() == ["10_L", "10_L", "10_R"]
    assert rows.image_id.tolist() == ["100", "101", "102"]


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(DataError, match=r"There is no .*train\.csv"):
        table.read(tmp_path / "nowhere")
    refused(tmp_path, "", "not a table")
    refused(tmp_path, HEAD, "no rows")
    refused(tmp_path, "patient_id,image_id\n1,2\n", "lacks site_id, laterality, view, cancer")
    refused(tmp_path, HEAD + ROWS + "1,11,100,L,CC,50,0,49\n", "1 images more than once, 100")
    refused(tmp_path, HEAD + ROWS + "1,10,103,R,CC,50,0,49\n", "1 breasts: the images of 10_R")
    refused(tmp_path, HEAD + ROWS + "1,11,103,L,CC,50,,49\n", "neither 0 nor 1 for 1 images, 103")
    refused(tmp_path, HEAD + ROWS + "1,,103,L,CC,50,0,49\n", "no patient_id in line 5")
    refused(tmp_path, HEAD + ROWS + '1,"11,103,L\n', "not a table|lacks|no image_id")
