"""Submissions that Kaggle would refuse, or that are worth nothing, written by the run itself."""

import pytest

from tests.failures.conftest import Plant, failed, own_runner

SLOW = pytest.mark.slow
PLANTED = {
    "index=True": (
        "columns, lines = ['', *columns], [[n, *line] for n, line in enumerate(lines)]",
        "write with index=False",
    ),
    "missing ids": ("lines = lines[1:]", "1 prediction_ids are missing"),
    "duplicate ids": ("lines = [*lines, lines[0]]", "1 prediction_ids occur more than once"),
    "NaN": ("lines[0][1] = float('nan')", "1 predictions are not finite numbers"),
    "constant predictions": (
        "lines = [[name, 0.5] for name, _ in lines]",
        "a constant, not a model's output",
    ),
}
MORE = {
    "a column's name": (
        "columns = ['prediction_id', 'target']",
        "expected are ['prediction_id', 'cancer']",
    ),
    "leading zeros": (
        "lines = [[str(int(n[:-2])) + n[-2:], v] for n, v in lines]",
        "Leading zeros were lost",
    ),
    "unknown ids": (
        "lines = [*lines, ['nobody_L', 0.5]]",
        "not in sample_submission.csv: nobody_L",
    ),
    "out of range": ("lines[0][1] = 1.5", "1 predictions lie outside [0, 1]"),
}


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        *(pytest.param(*planted, id=name) for name, planted in PLANTED.items()),
        *(pytest.param(*planted, id=name, marks=SLOW) for name, planted in MORE.items()),
    ],
)
def test_a_bad_submission(plant: Plant, body: str, cause: str) -> None:
    messages = failed(plant(own_runner(body)).rehearse())
    assert cause in messages["submission.csv"]


def test_no_submission_fails_the_notebook_itself(plant: Plant) -> None:
    """The launcher looks for the file: on Kaggle, too, the run fails where it can be seen."""
    messages = failed(plant(own_runner("sys.exit(0)")).rehearse())
    assert "submission.csv" in messages["notebook ran"]
    assert "/kaggle/working" in messages["notebook ran"]
