"""What a rehearsed gateway shows of the notebook's server: its start, its calls, its answers."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bundler.competition.check import Check, Status, verdict
from bundler.competition.gateway import result as results
from bundler.competition.gateway import timing
from bundler.competition.gateway.events import Call, Events
from bundler.competition.gateway.package import Package
from bundler.competition.gateway.process import GatewayOutput
from bundler.competition.gateway.result import Result
from bundler.competition.protocol import Curve, Planted

RED = 0.8  # of a limit, as in the projection of time and memory
UNCALIBRATED = 1.35  # how far another machine's core may be from this one's
SHOWN = 3
LAST = 12  # lines of what the gateway printed
FLOAT = "builtins.float"


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """One rerun by a gateway, read whole."""

    package: Package
    output: GatewayOutput
    events: Events
    result: Result | None
    rows: int  # of the real hidden test
    planted: Sequence[Planted] = ()  # awkward rows, by their ids

    def seconds(self, call: Call) -> float:
        """Return what a call took; of a server's first, without waiting for it to listen."""
        since = self.events.serving.get(call.host, call.began) if call.first else call.began
        return call.ended - max(call.began, since)

    @property
    def calls(self) -> int:
        """Return how many calls the real hidden test takes, by the rows of a call here."""
        batches = self.events.batches
        if not batches:
            return self.rows
        rows = statistics.fmean(map(len, batches))
        return max(round(self.rows / rows * len(self.events.calls) / len(batches)), 1)

    @property
    def pace(self) -> float:
        """Return how many times as long as here the target may take."""
        speed = self.output.speed
        return UNCALIBRATED if speed is None else 1 / speed


def check(rerun: Rerun) -> list[Check]:
    """Return the checks of a rerun, in the order in which things happen."""
    checks = [_starts(rerun), _gateway(rerun), _serves(rerun)]
    if rerun.events.calls:
        checks += [_deadline(rerun), _memory(rerun), _types(rerun)]
    if rerun.events.shared or rerun.output.early_reads:
        checks.append(_shared(rerun))
    return checks


def curves(rerun: Rerun) -> tuple[Curve, ...]:
    """Return the time of each call, and the memory of the server after it."""
    calls = rerun.events.calls
    if len(calls) < 2:
        return ()
    seconds = tuple(rerun.seconds(call) for call in calls)
    deadline = next((call.deadline for call in calls if call.deadline), None)
    memory = timing.after(rerun.output.memory, [call.ended for call in calls])
    drawn = Curve(name="Seconds of each call", unit="s", values=seconds, limit=deadline)
    if not memory:
        return (drawn,)
    limit = float(rerun.output.memory_limit)
    return drawn, Curve(name="Memory after each call", unit="B", values=memory, limit=limit)


def _starts(rerun: Rerun) -> Check:
    """Say whether the server serves in time, here and on the target."""
    events, limit = rerun.events, rerun.package.startup_seconds
    since = events.serving_since
    if since is None:
        ended = rerun.output.notebook_ended is not None
        message = (
            "The notebook ended without serving. Call serve() on the rerun."
            if ended
            else f"No server answered within {_time(limit)}. Start it before anything slow; models "
            "can be loaded in the first call, which has no deadline."
        )
        return Check(name="server starts", status="failed", message=message)
    seconds = since - rerun.output.notebook_began
    there = seconds * rerun.pace
    message = f"after {_time(seconds)} here, about {_time(there)} on the target, of {_time(limit)}"
    if there > RED * limit:
        message += ". Start it before anything slow, and load models in the first call."
        return Check(
            name="server starts", status="failed" if there > limit else "unproven", message=message
        )
    return Check(name="server starts", status="passed", message=message)


def _gateway(rerun: Rerun) -> Check:
    """Explain how the gateway ended."""
    result, name = rerun.result, "gateway"
    if result is None:
        tail = "\n".join(f"  {line}" for line in rerun.output.printed.splitlines()[-LAST:])
        how = "had to be ended" if rerun.output.returncode is None else "ended by itself"
        missing = rerun.package.missing
        hint = (
            f" It reads {', '.join(missing)}, which the competition's folder lacks: download the "
            "files that are missing."
            if missing
            else ""
        )
        message = f"The gateway {how} and left no {results.NAME}.{hint}\n{tail}"
        return Check(name=name, status="failed", message=message)
    if result.succeeded:
        count = len(rerun.events.calls)
        message = f"{count} call{'' if count == 1 else 's'}, {rerun.package.submission} written"
        return Check(name=name, status="passed", message=message)
    lines = [results.explain(result)]
    failing = next((call for call in rerun.events.calls if call.error), None)
    if failing is not None:
        to = f" to {failing.host}" if len(rerun.package.hosts) > 1 else ""
        about = f", for {', '.join(failing.ids[:SHOWN])}" if failing.ids else ""
        lines.append(f"It was call {failing.number}{to}{about}, after {_time(failing.seconds)}.")
        lines += [
            f"{one.name} was planted: {one.case}. {one.advice}".strip()
            for one in rerun.planted
            if one.name in failing.ids
        ][:1]
    if result.error == results.NEVER_STARTED:
        lines += _another_port(rerun, failing)
    if result.error == "GATEWAY_RAISED_EXCEPTION" and rerun.package.missing:
        lines.append(
            f"It reads {', '.join(rerun.package.missing)}, which the competition's folder lacks: "
            "download the files that are missing."
        )
    return Check(name=name, status="failed", message="\n".join(lines))


def _another_port(rerun: Rerun, failing: Call | None) -> list[str]:
    """Say where a server listens that its gateway did not find: not every version tries all."""
    port = rerun.events.ports.get(failing.host, 0) if failing else 0
    if failing is None or not port:
        return []
    usual = next(iter(rerun.package.ports), port)
    if port != usual:
        return [
            f"A server does listen, on port {port}: {usual} was taken when it was made, and this "
            f"gateway looks for it elsewhere. Free {usual} in the notebook before you make the "
            "server, and make it only once."
        ]
    return [
        f"A server does listen, on port {port}, and this gateway looks for {failing.host} "
        "elsewhere. Serve on a port that `Client` in kaggle_evaluation/core/relay.py tries for it, "
        "too: relay.define_server(predict, port=…) makes such a server, where it takes a port."
    ]


def _serves(rerun: Rerun) -> Check:
    """Say whether the notebook served until the gateway had all its answers."""
    name, ended = "serves to the end", rerun.output.notebook_ended
    answered = [call.ended for call in rerun.events.calls if not call.error]
    if ended is None or (rerun.result and rerun.result.succeeded):
        return Check(name=name, status="passed", message="until the gateway had ended")
    last = f"after {len(answered)} answers" if answered else "before the first answer"
    message = (
        f"The notebook went on after serve(), or never called it, and ended {last}; with its "
        "container the server is gone. On the rerun serve() must be the last call, and block."
    )
    return Check(name=name, status="failed", message=message)


def _deadline(rerun: Rerun) -> Check:
    """Hold the slowest call against the deadline: the slowest seen, and that of many more."""
    name, events = "call time", rerun.events
    later = [call for call in events.later if not call.error]
    firsts = [_time(rerun.seconds(call)) for call in events.calls if call.first]
    begin = f"the first call{'s' if firsts[1:] else ''} took {' and '.join(firsts)}"
    deadline = next((call.deadline for call in events.later if call.deadline), None)
    deadline = deadline or rerun.package.response_seconds
    over = [call for call in events.later if call.error == "GRPCDeadlineError"]
    if over:
        limit = f" of {_time(over[0].deadline)}" if over[0].deadline else ""
        message = f"Call {over[0].number} exceeded its deadline{limit}; {begin}."
        return Check(name=name, status="failed", message=message)
    if not later or deadline is None:
        message = f"{begin}; there was no later one to hold against a deadline"
        return Check(name=name, status="unproven", message=message)
    seconds = [call.seconds * rerun.pace for call in later]
    usual = f"{begin}, later ones {_time(statistics.median(seconds))}"
    projected = timing.slowest(seconds, rerun.calls)
    if projected is None:
        message = (
            f"{usual}; the slowest {_time(max(seconds))} of {_time(deadline)}. Too few calls for "
            "an interval: rehearse with more --units."
        )
        bad = max(seconds) > deadline
        return Check(name=name, status="failed" if bad else "unproven", message=message)
    message = (
        f"{usual}; the slowest of {rerun.calls} about {_time(projected.expected)} "
        f"({_time(projected.low)} to {_time(projected.high)}) of {_time(deadline)}"
    )
    if projected.expected > deadline:
        message += ". Do less in a call, or once in the first one."
        return Check(name=name, status="failed", message=message)
    status: Status = "unproven" if projected.high > deadline else "passed"
    return Check(name=name, status=status, message=message)


def _memory(rerun: Rerun) -> Check:
    """Name memory that grows with each call."""
    name, limit = "memory of calls", rerun.output.memory_limit
    ends = [call.ended for call in rerun.events.calls if not call.error]
    trend = timing.growth(rerun.output.memory, ends)
    if trend is None:
        message = "Too few calls to see a trend: rehearse with more --units."
        return Check(name=name, status="unproven", message=message)
    there = trend.last + trend.per_call * max(rerun.calls - len(ends), 0)
    seen = f"{_bytes(trend.first)} after the first call, {_bytes(trend.last)} after the last"
    if not trend.per_call or (not trend.exact and there < RED * limit):
        return Check(name=name, status="passed", message=seen)
    if not trend.exact:
        message = f"{seen}, in calls too short to tell a trend: rehearse with more --units."
        return Check(name=name, status="unproven", message=message)
    message = (
        f"It grows by {_bytes(trend.per_call)} with each call: {_bytes(there)} after "
        f"{rerun.calls} calls, of {_bytes(limit)}. Keep nothing of a call beyond it (lists, "
        "caches without a bound, tensors with their graph)."
    )
    status: Status = "failed" if there > RED * limit else "unproven"
    return Check(name=name, status=status, message=message)


def _types(rerun: Rerun) -> Check:
    """Say what the calls returned, and where a type lost digits or was not always the same."""
    answered = [call for call in rerun.events.calls if not call.error]
    kinds = list(dict.fromkeys(call.answer for call in answered))
    problems = list(_type_problems(answered, kinds))
    rest = " (of which the gateway gets float32)" if FLOAT in kinds else ""
    fine = f"{', '.join(kind.removeprefix('builtins.') for kind in kinds)}{rest}"
    return verdict("types", problems, fine)


def _type_problems(calls: Sequence[Call], kinds: Sequence[str]) -> Iterator[str]:
    if rounded := [call for call in calls if call.rounded]:
        yield (
            f"{len(rounded)} answers are Python floats beyond 16,777,216, which travel as float32: "
            "their last digits are lost. Return numpy.float64, or a table."
        )
    if len(kinds) > 1:
        yield f"The answers are of several types: {', '.join(kinds)}. Return one type always."
    columns = list(dict.fromkeys(call.columns for call in calls if call.columns))
    if len(columns) > 1:
        shown = " and ".join(str(list(names)) for names in columns[:2])
        yield f"The answers have different columns: {shown}."


def _shared(rerun: Rerun) -> Check:
    """Say which files were read before the gateway had shared them."""
    result, shared = rerun.result, rerun.events.shared
    early = list(rerun.output.early_reads)
    if result is not None and not result.succeeded and (path := results.named_path(result)):
        early.append(path)
    problems = []
    for path in dict.fromkeys(early):
        when = "it is shared later" if path in shared else "it is never shared"
        problems.append(f"{path} was read when it was not there: {when}.")
    if problems:
        problems = [
            *problems[:SHOWN],
            "The gateway shares files just before the call that is about them: read what a call "
            "names, in that call.",
        ]
    return verdict("shared files", problems, f"{len(shared)} shared, each read after that")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _bytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
