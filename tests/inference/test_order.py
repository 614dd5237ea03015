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


ROWS = ("a MLO", "b MLO", "c MLO", "a CC", "b CC", "c CC", "a AT")


def test_without_failures_an_agenda_keeps_the_order() -> None:
    assert list(order.Agenda(table(*ROWS), range(7))) == list(range(7))
    assert list(order.Agenda(table(*ROWS), [5, 3])) == [5, 3]
    assert list(order.Agenda(table(*ROWS), [])) == []


def test_a_breast_whose_image_failed_comes_next() -> None:
    agenda = order.Agenda(table(*ROWS), range(7))
    taken = []
    for key in agenda:
        taken.append(ROWS[key])
        if key in (0, 3):
            agenda.note_failed(key)
        else:
            agenda.note_loaded(key)
    assert taken == ["a MLO", "a CC", "a AT", "b MLO", "c MLO", "b CC", "c CC"]


def test_a_breast_that_has_an_image_does_not() -> None:
    agenda = order.Agenda(table(*ROWS), range(3, 7), loaded=[0])
    drawn = iter(agenda)
    assert next(drawn) == 3
    agenda.note_failed(3)  # but its MLO was loaded by an earlier run
    assert next(drawn) == 4
    agenda.note_failed(4)  # nothing of it is left
    assert list(drawn) == [5, 6]
