"""A gateway that calls two servers by their names, and ports that are taken: the real rerun."""

import re

import pytest

from tests.bundler.competition.gateway import phantom
from tests.failures.gateway.conftest import Bench, failed, server
from tests.failures.gateway.test_plants import DEADLINE, RELAY, STARTUP, answers

# A limit within which a server starts on a busy machine, too.
ENOUGH = (STARTUP[0], "STARTUP_LIMIT_SECONDS = 10")

# Each walk goes to both servers; the submission has their mean.
TWO = """\
    def predict(self, *data: Any) -> Any:
        import time

        answers = []
        for name in self.clients:
            time.sleep({pause} * (name == "second"))
            answers.append(super().predict(*data, server_name=name))
        return sum(answers) / 2

    def competition_specific_validation"""


def call_two(bench: Bench, *, pause: float = 0.0) -> None:
    """Let the gateway call `inference_server`, then `inference_server_second` after a pause."""
    named = 'target_column_name="fall", server_names=["default", "second"]'
    phantom.change(bench.data, phantom.GATEWAY, 'target_column_name="fall"', named)
    method, text = "    def competition_specific_validation", TWO.format(pause=pause)
    phantom.change(bench.data, phantom.GATEWAY, method, text)


def test_both_names_lead_to_the_notebook(bench: Bench) -> None:
    """One server answers under both; the second name's first call has no deadline either."""
    call_two(bench)
    phantom.change(bench.data, phantom.GATEWAY, *DEADLINE)
    slow = answers("    time.sleep(1.2 * (len(CALLS) in (1, 2)))\n    return float(risk(row))")
    checks = bench.rerun(slow, units=4)
    assert failed(checks) == {}
    shown = {check.name: check.message for check in checks}
    rows = int(re.findall(r"\d+", shown["ids"])[0])
    assert shown["gateway"] == f"{2 * rows} calls, submission.parquet written"
    assert re.match(r"the first calls took [\d.]+ s and [\d.]+ s, later ones", shown["call time"])


def test_neither_name_resolves_once_the_notebook_has_ended(bench: Bench) -> None:
    """Ended between a row's two calls: the second server's is the one that fails."""
    call_two(bench, pause=0.8)
    ends = answers(
        "    if len(CALLS) == 5:\n"
        "        import threading\n"
        "        threading.Timer(0.2, os._exit, [0]).start()\n"
        "    return float(risk(row))"
    )
    problems = failed(bench.rerun(ends, units=4))
    assert "SERVER_CONNECTION_FAILED" in problems["gateway"]
    assert "It was call 6 to inference_server_second, for" in problems["gateway"]
    assert "ended after 5 answers" in problems["serves to the end"]


@pytest.mark.slow
def test_a_port_that_the_gateway_does_not_look_for(bench: Bench) -> None:
    """As in the package of June 2026, whose gateway tries a few ports of its own."""
    phantom.change(bench.data, RELAY, *ENOUGH)
    phantom.change(bench.data, RELAY, "GRPC_PORTS if port is None else [port]", "[50051]")
    taken = "import socket\nheld = socket.socket()\nheld.bind(('localhost', 50051))\n"
    problem = failed(bench.rerun(server(before=taken), units=2))["gateway"]
    assert "SERVER_NEVER_STARTED" in problem
    assert "on port 60053: 50051 was taken" in problem
    assert "Free 50051 in the notebook before you make the server" in problem
