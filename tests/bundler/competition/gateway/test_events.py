"""What is read of the driver's log: calls, their rows, their servers."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from bundler.competition.gateway import checks, events, package, timing
from bundler.competition.gateway.checks import Rerun
from bundler.competition.gateway.driver import Event
from bundler.competition.gateway.events import Events
from bundler.competition.gateway.process import GatewayOutput
from tests.bundler.competition.gateway.phantom import GATEWAY, change, competition

HOSTS = ("inference_server", "inference_server_second")


def read(log: Path, noted: Sequence[Event]) -> Events:
    """Return what is read of a log with some events."""
    log.write_text("".join(f"{json.dumps(asdict(event))}\n" for event in noted))
    return events.read(log)


def called(host: str, began: float, seconds: float, error: str = "") -> Event:
    return Event(
        kind="call", host=host, began=began, time=began + seconds, deadline=1.0, error=error
    )


def of_two_servers(batches: int, *, slow: float = 0.1) -> list[Event]:
    """Return the events of a run in which each of two servers is called for each batch.

    The first call of the second one takes `slow` seconds.
    """
    noted = [Event(kind="serving", host=host, time=10.0, port=50051) for host in HOSTS]
    for number in range(batches):
        noted.append(Event(kind="batch", ids=(f"row {number}",)))
        for host in HOSTS:
            first = number == 0 and host == HOSTS[1]
            began = 20.0 + 10 * number + 5 * HOSTS.index(host)
            noted.append(called(host, began, slow if first else 0.1))
    return noted


def test_an_answer_shows_a_server_that_nobody_had_looked_at(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    failed = '{"kind": "call", "time": 3.0, "began": 2.0, "error": "RpcError"}\n'
    log.write_text(failed)
    assert events.read(log).serving_since is None
    log.write_text(failed + '{"kind": "call", "time": 5.0, "began": 4.0}\n')
    assert events.read(log).serving_since == 5.0
    with log.open("a") as stream:
        stream.write('{"kind": "serving", "time": 1.5, "host": "localhost"}\n')
    assert events.read(log).serving_since == 1.5


def test_a_log_that_was_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text('{"time": 1.0, "kind": "start"}\n[1]\n{"time": 2.0, "kind": "ca')
    assert events.read(log) == Events(serving={}, shared={}, started=1.0)
    assert events.read(tmp_path / "none") == Events(serving={}, shared={})


def test_each_of_two_servers_has_a_first_call(tmp_path: Path) -> None:
    """So Kaggle's client has it: no deadline until a server has answered once."""
    found = read(tmp_path / "log", of_two_servers(3))
    assert [call.first for call in found.calls] == [True, True, False, False, False, False]
    assert [call.deadline for call in found.calls] == [None, None, 1.0, 1.0, 1.0, 1.0]
    assert [call.number for call in found.later] == [3, 4, 5, 6]
    assert found.batches == (("row 0",), ("row 1",), ("row 2",))
    assert found.order == ("row 0", "row 1", "row 2")
    assert found.calls[1].ids == ("row 0",)


# --- what the checks make of two servers ---


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = competition(tmp_path / "data")
    change(made, GATEWAY, 'target_column_name="fall"', 'server_names=["default", "second"]')
    return made


def rerun(root: Path, noted: Sequence[Event], error: str = "SERVER_CONNECTION_FAILED") -> Rerun:
    own, log = package.read(root), root.parent / "log"
    assert own is not None
    output = GatewayOutput(
        working=root,
        log=log,
        printed="",
        returncode=0,
        notebook_began=0.0,
        notebook_ended=None,
        memory=(),
        memory_limit=1 << 30,
        speed=1.0,
    )
    failed = checks.results.Result(succeeded=False, error=error)
    return Rerun(package=own, output=output, events=read(log, noted), result=failed, rows=1000)


def messages(own: Rerun) -> dict[str, str]:
    return {check.name: f"{check.status}: {check.message}" for check in checks.check(own)}


def test_a_second_server_may_load_its_model_in_its_first_call(root: Path) -> None:
    enough = timing.FEWEST + 2
    shown = messages(rerun(root, of_two_servers(enough, slow=4.0)))
    assert shown["call time"].startswith("passed: the first calls took 0.1 s and 4 s, later ones")
    late = [*of_two_servers(enough), called(HOSTS[1], 900.0, 4.0)]
    assert "failed" in messages(rerun(root, late))["call time"]


def test_each_batch_of_the_hidden_test_takes_a_call_of_each_server(root: Path) -> None:
    assert rerun(root, of_two_servers(3)).calls == 2000


def test_the_server_of_a_call_that_failed_is_named(root: Path) -> None:
    noted = [*of_two_servers(2), called(HOSTS[1], 90.0, 0.1, error="ServerDiedError")]
    shown = messages(rerun(root, noted))["gateway"]
    assert "It was call 5 to inference_server_second, for row 1, after 0.1 s." in shown


def test_a_port_that_was_taken_when_the_server_was_made(root: Path) -> None:
    noted = [
        Event(kind="serving", host=HOSTS[0], time=10.0, port=60053),
        called(HOSTS[0], 5.0, 900.0, error="RuntimeError"),
    ]
    shown = messages(rerun(root, noted, error="SERVER_NEVER_STARTED"))["gateway"]
    assert "A server does listen, on port 60053: 50051 was taken" in shown
    assert "Free 50051 in the notebook before you make the server" in shown


def test_a_second_server_that_the_gateway_looks_for_on_another_port(root: Path) -> None:
    """As in June 2026, whose clients of several servers have ports of their own."""
    noted = [*of_two_servers(1)[:-1], called(HOSTS[1], 25.0, 900.0, error="RuntimeError")]
    shown = messages(rerun(root, noted, error="SERVER_NEVER_STARTED"))["gateway"]
    assert "A server does listen, on port 50051, and this gateway looks for" in shown
    assert "inference_server_second elsewhere. Serve on a port that `Client`" in shown
    silent = [event for event in noted if event.kind != "serving"]
    shown = messages(rerun(root, silent, error="SERVER_NEVER_STARTED"))["gateway"]
    assert "does listen" not in shown
