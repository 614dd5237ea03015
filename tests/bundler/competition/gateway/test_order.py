"""What another order of the calls proves, and what is said where calls are in order of time."""

from pathlib import Path

import pytest

from bundler import settings
from bundler.competition.check import Check, Status
from bundler.competition.choose import choose
from bundler.competition.gateway import order
from bundler.competition.gateway.competition import GatewayCompetition
from bundler.competition.parity import ORDER, TWINS
from bundler.errors import UsageError
from tests.bundler.competition.gateway.phantom import competition

FIRST = ("a", "b", "c")


def check(status: Status, name: str = ORDER, message: str = "3 rows, in another order") -> Check:
    return Check(name=name, status=status, message=message)


def test_another_order_is_proof() -> None:
    (judged,) = order.judged([check("passed")], FIRST, [("c", "x", "a", "b")])
    assert (judged.status, judged.message) == ("passed", "3 rows, in another order of the calls")


@pytest.mark.parametrize("again", [[FIRST], [("a", "x", "b", "c")], [("x",)], []])
def test_the_same_order_proves_nothing(again: list[tuple[str, ...]]) -> None:
    (judged,) = order.judged([check("passed")], FIRST, again)
    assert judged.status == "unproven"
    assert "in the same order both times" in judged.message


@pytest.mark.parametrize("name", [ORDER, TWINS])
def test_what_fails_names_the_setting(name: str) -> None:
    (judged,) = order.judged([check("failed", name)], FIRST, [("c", "b", "a")])
    assert judged.status == "failed"
    assert judged.message.startswith("3 rows, in another order\nIf each call is meant to depend")
    assert "`ordered = true` in [tool.rsna-bundle.gateway]" in judged.message


def test_other_checks_stay_as_they_are() -> None:
    other = check("failed", "answers depend on the input")
    assert order.judged([other], FIRST, [FIRST]) == [other]


# --- the setting ---


def chosen(folder: Path, table: str) -> GatewayCompetition:
    (folder / "pyproject.toml").write_text(
        f'[tool.rsna-bundle]\ncompetition = "gait"\nrun = "python submit.py"\n{table}\n'
    )
    found = choose(settings.load(folder), folder=folder / "data")
    assert isinstance(found, GatewayCompetition)
    return found


def test_the_calls_are_turned_round_unless_the_settings_say_that_they_are_ordered(
    tmp_path: Path,
) -> None:
    competition(tmp_path / "data")
    turned = {}
    for name, table in (
        ("shuffled", ""),
        ("ordered", "[tool.rsna-bundle.gateway]\nordered = true"),
    ):
        first = chosen(tmp_path, table).write(tmp_path / name / "first", 4)
        second = first.second(tmp_path / name / "second", 12)
        assert set(first.ids) < set(second.ids)
        assert second.gateway is not None
        turned[name] = second.gateway.shuffled
        shared = [identity for identity in second.ids if identity in first.ids]
        assert (shared == list(first.ids)) == (name == "ordered")
    assert turned == {"shuffled": True, "ordered": False}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "[tool.rsna-bundle.gateway]\nordred = true",
            r"unknown key 'ordred'.*Did you mean 'ordered'",
        ),
        ("[tool.rsna-bundle.gateway]\nordered = 'yes'", "ordered is 'yes'; it must be bool"),
        ("gateway = true", r"\[tool.rsna-bundle.gateway\] must be a table"),
    ],
)
def test_a_setting_that_is_none(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        chosen(tmp_path, table)
