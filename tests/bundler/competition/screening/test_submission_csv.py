"""submission.csv: what Kaggle would refuse, and what is worth nothing."""

from pathlib import Path

import pytest

from bundler.competition.screening import submission_csv

BREASTS = [f"{patient:03d}_{side}" for patient in range(3) for side in "LR"]
ROWS = [f"{breast},0.{number}" for number, breast in enumerate(BREASTS, 1)]
SOUND = "\n".join(["prediction_id,cancer", *ROWS]) + "\n"


def problems(path: Path, text: str) -> list[str]:
    """Return what is wrong with a submission of this text."""
    path.write_text(text, encoding="utf-8")
    return list(submission_csv.problems(path, BREASTS))


def test_a_sound_submission_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path / "submission.csv", SOUND) == []
    assert submission_csv.read(tmp_path / "submission.csv")["000_L"] == 0.1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cancer", "target", "expected are ['prediction_id', 'cancer']"),
        ("prediction_id,", ",prediction_id,", "write with index=False"),
        ("000_L,0.1\n", "", "1 prediction_ids are missing: 000_L"),
        ("000_L", "0_L", "Leading zeros were lost"),
        ("000_L,0.1\n", "000_L,0.1\n000_L,0.1\n", "1 prediction_ids occur more than once: 000_L"),
        ("000_L,0.1\n", "000_L,0.1\nnobody,0.1\n", "not in sample_submission.csv: nobody"),
        ("0.1\n", "nan\n", "1 predictions are not finite numbers: 000_L"),
        ("0.1\n", "yes\n", "1 predictions are not finite numbers: 000_L"),
        ("0.1\n", "1.5\n", "1 predictions lie outside [0, 1]: 000_L"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    messages = problems(tmp_path / "submission.csv", SOUND.replace(old, new, 1))
    assert any(message in line for line in messages), messages


def test_a_constant_is_no_answer_unless_a_threshold_gave_it(tmp_path: Path) -> None:
    def constant(value: str) -> str:
        return "prediction_id,cancer\n" + "".join(f"{breast},{value}\n" for breast in BREASTS)

    path = tmp_path / "submission.csv"
    assert "a constant, not a model's output" in problems(path, constant("0.5"))[0]
    assert problems(path, constant("0")) == []


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    assert "was not written" in next(submission_csv.problems(path, BREASTS))
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in next(submission_csv.problems(path, BREASTS))
    assert submission_csv.read(path) == {}
