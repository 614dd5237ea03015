"""One view of each breast first."""

from pathlib import Path

from inference import order
from inference.submission import TestImage


def table(*rows: str) -> list[TestImage]:
    """Return images of `breast view` each."""
    return [
        TestImage(
            image_id=str(index),
            patient_id="1",
            prediction_id=row.split()[0],
            path=Path(f"{index}.dcm"),
            columns={"view": " ".join(row.split()[1:])},
        )
        for index, row in enumerate(rows)
    ]


def ordered(*rows: str) -> list[str]:
    """Return the rows in their order."""
    return [rows[index] for index in order.by_breast(table(*rows))]


def test_one_view_of_each_breast_comes_first_mlo_before_cc() -> None:
    assert ordered("a CC", "a MLO", "b CC", "b MLO", "c CC") == [
        "a MLO",
        "b MLO",
        "c CC",
        "a CC",
        "b CC",
    ]


def test_another_view_comes_before_a_second_one_of_the_same() -> None:
    assert ordered("a MLO", "a mlo", "a AT", "a CC") == ["a MLO", "a CC", "a AT", "a mlo"]


def test_without_a_view_the_tables_order_decides() -> None:
    assert ordered("a", "b", "a", "b", "a") == ["a", "b", "a", "b", "a"]


def test_every_image_comes_once() -> None:
    rows = [f"{number % 7} {('CC', 'MLO', 'LM', '')[number % 4]}" for number in range(100)]
    assert sorted(order.by_breast(table(*rows))) == list(range(100))
