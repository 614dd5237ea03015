"""report.html: one self-contained page, the verdict first."""

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bundler.competition.check import Check
from bundler.competition.protocol import Curve, Distribution, Picture
from bundler.rehearse.checks.outlook import Outlook
from bundler.rehearse.checks.projection import RED, Projection
from bundler.rehearse.report import charts, curves
from bundler.rehearse.report.provenance import Provenance
from bundler.rehearse.report.timeline import Step
from bundler.rehearse.result import Rehearsal

STYLE = Path(__file__).with_name("page.css")
LOG_LINES = 200

text = html.escape


def render(
    result: Rehearsal, pictures: Sequence[Picture] = (), distribution: Distribution | None = None
) -> str:
    """Return the page's HTML."""
    state = result.verdict
    title = "Rehearsal failed" if state == "failed" else "Rehearsal passed"
    parts = [
        _head(result, state, title),
        _timeline(result.timeline),
        _outlook(result.outlook) if result.outlook and result.outlook.quantities else "",
        _section("Checks", "".join(map(_check, result.checks))),
        _sheet(pictures) if pictures else "",
        _curves(result.curves) if result.curves else "",
        _distribution(distribution) if distribution else "",
        _provenance(result.provenance),
        _log(result.log),
    ]
    style = STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head>\n<body><main>\n" + "\n".join(filter(None, parts)) + "\n"
        "</main></body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{text(title)}</h2>{body}</section>"


def _head(result: Rehearsal, state: str, title: str) -> str:
    failed = [check for check in result.checks if check.status == "failed"]
    layouts = " and ".join(result.provenance.layouts)
    many = "s" if " and " in layouts else ""
    verdict = f"The notebook ran, network cut, in Kaggle's {layouts} layout{many}."
    if state == "unproven":
        names = [check.name for check in result.checks if check.status == "unproven"]
        verdict += f" Not known: {', '.join(dict.fromkeys(names))}."
    if failed:
        verdict = f"What failed: {', '.join(check.name for check in failed)}."
    if result.projection:
        verdict += f" {result.projection.summary()}."
    when = f"{result.provenance.when} · took {result.seconds:.0f} s"
    first = f"<p><b>{text(failed[0].message.splitlines()[0])}</b></p>" if failed else ""
    return (
        f'<header class="{state}"><h1>{title}</h1><p>{text(verdict)}</p>'
        f"{first}<p>{text(when)}</p></header>"
    )


def _check(check: Check) -> str:
    return (
        f'<div class="check"><span class="status {check.status}">{check.status}</span>'
        f"<strong>{text(check.name)}</strong><pre>{text(check.message)}</pre></div>"
    )


def _row(name: str, bars: str, number: str) -> str:
    return (
        f'<div class="row"><span>{text(name)}</span><div class="track">{bars}</div>'
        f'<span class="number">{text(number)}</span></div>'
    )


def _bar(begin: float, width: float, kind: str = "") -> str:
    style = f"left:{100 * max(begin, 0):.2f}%;width:{100 * min(max(width, 0), 1):.2f}%"
    return f'<i class="{kind}" style="{style}"></i>'


def _timeline(steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    whole = max(step.end for step in steps) or 1.0
    rows = [
        _row(step.name, _bar(step.begin / whole, seconds / whole), f"{seconds:.1f} s")
        for step in steps
        if (seconds := step.end - step.begin) > 0.02
    ]
    return _section("Steps of the rehearsed run", "".join(rows))


def _outlook(outlook: Outlook) -> str:
    projected = outlook.projection
    drawn = charts.draw(outlook.quantities, outlook.rows)
    parts = [_time(projected)] if projected else []
    parts.append(f'<div class="charts">{"".join(drawn)}</div>')
    if drawn:
        parts.append(_note(CHARTS))
    if projected and projected.stages:
        parts.append(_stages(projected.stages))
    return _section("The hidden test, projected", "".join(parts))


CHARTS = (
    "Both scales are logarithmic. A dot is a run, hollow where it is an upper bound; the line is "
    "the fit, the pale band its 90 % interval, the last dot the hidden test, the red line 80 % of "
    "the limit."
)


def _time(projected: Projection) -> str:
    limit = projected.limit_seconds
    low, high = projected.seconds_low / limit, projected.seconds_high / limit
    kind = "red" if projected.seconds > RED * limit else ""
    bars = _bar(min(low, 1), min(high, 1) - low, "span") + _bar(0, projected.seconds / limit, kind)
    row = _row("Time", bars + "<b></b>", f"{projected.seconds / 3600:.2f} of {limit / 3600:.1f} h")
    cores = f"{projected.cores_here} cores on this machine, {projected.cores_there} on the target"
    note = (
        f"{projected.count} {projected.rows}; {projected.fixed_seconds:.1f} s before and after "
        f"them, {projected.seconds_per_row * 1e3:.1f} ms for each on the target ({cores}); "
    )
    if projected.predict_seconds:
        note += f"predicting takes {projected.predict_seconds * 1e3:.1f} ms of it here; "
    note += "files are read at this machine's pace. The pale bar is the 90 % interval."
    return row + _note(note)


def _note(line: str) -> str:
    return f'<p class="note">{text(line)}</p>'


def _stages(stages: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(stage for seconds in stages.values() for stage in seconds))
    head = "".join(f"<th>{text(name)}, ms</th>" for name in names)
    rows = "".join(
        f"<tr><td>{text(kind)}</td>"
        + "".join(f"<td>{1e3 * seconds.get(name, 0.0):.1f}</td>" for name in names)
        + "</tr>"
        for kind, seconds in stages.items()
    )
    return f'<div class="wide"><table><tr><th>One core, for one</th>{head}</tr>{rows}</table></div>'


def _sheet(pictures: Sequence[Picture]) -> str:
    body = f'<div class="sheet">{"".join(map(_figure, pictures))}</div>'
    return _section("As the model sees them, with its predictions", body)


def _figure(picture: Picture) -> str:
    # In the page itself, so that it can be moved and mailed as one file.
    source = "data:image/png;base64," + base64.b64encode(picture.png).decode()
    about = "<br>".join(map(text, picture.about))
    return (
        f'<figure><img alt="{text(picture.name)}" src="{source}">'
        f"<figcaption><b>{text(picture.value)}</b> {about}</figcaption></figure>"
    )


def _distribution(distribution: Distribution) -> str:
    most = max(distribution.counts) or 1
    bars = "".join(
        f'<i style="height:{100 * count / most:.1f}%" title="{count}"></i>'
        for count in distribution.counts
    )
    low, high = distribution.low, distribution.high
    labels = "".join(f"<span>{value:g}</span>" for value in (low, (low + high) / 2, high))
    scale = f'<div class="scale">{labels}</div>'
    body = f'<div class="histogram">{bars}</div>{scale}{_note(distribution.note)}'
    return _section("Distribution of the predictions", body)


def _curves(drawn: Sequence[Curve]) -> str:
    body = f'<div class="charts">{"".join(map(curves.draw, drawn))}</div>'
    return _section("Call after call", body)


def _provenance(provenance: Provenance) -> str:
    return _section(
        "What was rehearsed", f'<table class="facts">{"".join(_facts(provenance))}</table>'
    )


def _facts(provenance: Provenance) -> Iterator[str]:
    for bundle in provenance.bundles:
        yield _fact(bundle.kind, f"{bundle.id[:16]}  {bundle.origin}")
    facts = {
        "target": provenance.target,
        "python": provenance.python,
        "sandbox": provenance.sandbox,
        "/kaggle/working": provenance.working or "",
        "machine": provenance.machine,
        "hidden test": provenance.hidden_test,
        "tool": provenance.tool,
    }
    for name, fact in facts.items():
        if fact:
            yield _fact(name, fact)
    for note in provenance.notes:
        yield _fact("differs", note)


def _fact(name: str, fact: str) -> str:
    return f"<tr><th>{text(name)}</th><td>{text(fact)}</td></tr>"


def _log(log: str) -> str:
    lines = log.strip().splitlines()
    if not lines:
        return ""
    shown = "\n".join(lines[-LOG_LINES:])
    summary = "<summary>What the notebook printed</summary>"
    return f"<section><details>{summary}<pre>{text(shown)}</pre></details></section>"
