"""A server whose answers depend on the calls before: a fault, or a time series. The real rerun."""

from dataclasses import replace

from bundler.competition.gateway import events
from tests.failures.gateway.conftest import Bench, failed
from tests.failures.gateway.test_plants import answers

# As the forecast of a time series does, from what came before.
SERIES = answers(
    "    CALLS[-1] = float(risk(row))\n    return CALLS[-1] + sum(CALLS[:-1]) / len(CALLS)"
)


def test_a_server_that_remembers_is_caught(bench: Bench) -> None:
    checks = bench.rerun_twice(SERIES, units=4)
    problem = failed(checks)["order and neighbours"]
    assert "have another answer in a second run" in problem
    assert "set `ordered = true` in [tool.rsna-bundle.gateway]" in problem


def test_in_order_of_time_no_other_order_is_tried(bench: Bench) -> None:
    ordered = replace(bench, ordered=True)
    first = ordered.competition().write(bench.folder / "hidden", 4)
    second = first.second(bench.folder / "second-hidden", 2 * first.size)
    outputs = [bench.run(SERIES, first, "first"), bench.run(SERIES, second, "second")]
    checks = [*first.check(outputs[0]).checks, *second.check(outputs[1]).checks]
    compared = first.compare_runs(outputs[0], [(second, outputs[1])])
    assert failed([*checks, *compared]) == {}
    messages = {check.name: (check.status, check.message) for check in compared}
    status, message = messages.pop("order and neighbours")
    assert status == "unproven"
    assert message.startswith("Not tried: `ordered = true` in [tool.rsna-bundle.gateway]")
    # Nor is another position of the same rows; that answers differ at all is seen in one pass.
    assert set(messages) == {"answers depend on the input"}
    orders = [events.read(out.gateway.log).order for out in outputs if out.gateway]
    assert [list(order) for order in orders] == [list(first.ids), list(second.ids)]
