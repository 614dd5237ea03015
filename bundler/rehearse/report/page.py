"""report.html: one self-contained page, the verdict first."""

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.competition.screening import mixture
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.rehearse.checks import checks
from bundler.rehearse.checks.checks import Check
from bundler.rehearse.checks.projection import RED, Projection
from bundler.rehearse.report import pictures
from bundler.rehearse.run.layout import probed_rows
from bundler.rehearse.run.notebook_run import Performance

if TYPE_CHECKING:
    from bundler.rehearse.result import Rehearsal

STYLE = Path(__file__).with_name("page.css")
LOG_LINES = 200

text = html.escape


def render(result: "Rehearsal", main: Performance | None, shown: HiddenSet | None) -> str:
    """Return the page's HTML."""
    state = "passed" if result.passed else "failed"
    title = "Rehearsal passed" if result.passed else "Rehearsal failed"
    parts = [
        _head(result, state, title),
        _timeline(result.stages),
        _projection(result.projection) if result.projection else "",
        _section("Checks", "".join(map(_check, checks.ordered(result.checks)))),
        _sheet(main, shown) if main and shown else "",
        _distribution(main) if main and main.report else "",
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


def _head(result: "Rehearsal", state: str, title: str) -> str:
    failed = [check for check in result.checks if check.status == "failed"]
    names = ", ".join(check.name for check in failed)
    layouts = " and ".join(result.provenance["layouts"])
    many = "s" if " and " in layouts else ""
    said = f"The notebook ran, network cut, in Kaggle's {layouts} layout{many}."
    if failed:
        said = f"What failed: {names}."
    if result.projection:
        said += f" {result.projection.said()}."
    when = f"{result.provenance['when']} · took {result.seconds:.0f} s"
    first = f"<p><b>{text(failed[0].said.splitlines()[0])}</b></p>" if failed else ""
    return (
        f'<header class="{state}"><h1>{title}</h1><p>{text(said)}</p>'
        f"{first}<p>{text(when)}</p></header>"
    )


def _check(check: Check) -> str:
    return (
        f'<div class="check"><span class="status {check.status}">{check.status}</span>'
        f"<strong>{text(check.name)}</strong><pre>{text(check.said)}</pre></div>"
    )


def _row(name: str, bars: str, number: str) -> str:
    return (
        f'<div class="row"><span>{text(name)}</span><div class="track">{bars}</div>'
        f'<span class="number">{text(number)}</span></div>'
    )


def _bar(begin: float, width: float, kind: str = "") -> str:
    place = f"left:{100 * max(begin, 0):.2f}%;width:{100 * min(max(width, 0), 1):.2f}%"
    return f'<i class="{kind}" style="{place}"></i>'


def _timeline(stages: Sequence[tuple[str, float, float]]) -> str:
    if not stages:
        return ""
    whole = max(end for _, _, end in stages) or 1.0
    rows = [
        _row(name, _bar(begin / whole, (end - begin) / whole), f"{end - begin:.1f} s")
        for name, begin, end in stages
        if end - begin > 0.02
    ]
    return _section("Stages of the rehearsed run", "".join(rows))


def _projection(projected: Projection) -> str:
    limit = projected.limit_seconds
    low, high = projected.seconds_low / limit, projected.seconds_high / limit
    kind = "red" if projected.seconds > RED * limit else ""
    time = _bar(min(low, 1), min(high, 1) - low, "span") + _bar(0, projected.seconds / limit, kind)
    rows = [
        _row("Time", time + "<b></b>", f"{projected.seconds / 3600:.2f} of {limit / 3600:.1f} h"),
        _share("Memory", projected.memory_bytes, projected.memory_limit),
        _share("/kaggle/working", projected.working_bytes, projected.working_limit),
    ]
    ours = f"{projected.cores_here} cores here, {projected.cores_there} there"
    note = (
        f"{projected.what()}; {projected.fixed_seconds:.1f} s before and after them, "
        f"{projected.seconds_per_image * 1e3:.1f} ms an image on the target ({ours}); predicting "
        f"takes {projected.predict_seconds * 1e3:.1f} ms of it here, and files are read at this "
        "machine's pace. The red line is 80 % of the limit, the pale bar the 90 % interval."
    )
    table = _stages(projected.stages)
    return _section("The hidden test, projected", "".join(rows) + _note(note) + table)


def _share(name: str, used: int, limit: int) -> str:
    share = used / limit
    bars = _bar(0, share, "red" if share > RED else "") + "<b></b>"
    return _row(name, bars, f"{used / 1e9:.2f} of {limit / 1e9:.1f} GB")


def _note(said: str) -> str:
    return f'<p class="note">{text(said)}</p>'


def _stages(stages: Mapping[str, Mapping[str, float]]) -> str:
    names = ("read", "decode", "prepare")
    head = "".join(f"<th>{name}, ms</th>" for name in names)
    rows = "".join(
        f"<tr><td>{text(mixture.SYNTAXES.get(syntax, syntax))}</td>"
        + "".join(f"<td>{1e3 * seconds[name]:.1f}</td>" for name in names)
        + "</tr>"
        for syntax, seconds in stages.items()
    )
    return (
        f'<div class="wide"><table><tr><th>One core, an image</th>{head}</tr>{rows}</table></div>'
    )


def _sheet(main: Performance, shown: HiddenSet) -> str:
    if main.inputs is None or main.probed is None:
        return ""
    cases = {image.row["image_id"]: image.case for image in shown.planted}
    numbers = main.probed["numbers"]
    figures = []
    for row, image in zip(probed_rows(shown), pictures.pngs(main.inputs), strict=False):
        name = row["image_id"]
        about = cases.get(name, f"{row['laterality']} {row['view']}")
        figures.append(
            f'<figure><img alt="{text(name)}" src="{image}"><figcaption><b>{numbers[name]:.3f}</b> '
            f"{text(row['prediction_id'])}<br>{text(about)}</figcaption></figure>"
        )
    body = f'<div class="sheet">{"".join(figures)}</div>'
    return _section("As the model sees them, with the probability of each image", body)


def _distribution(main: Performance) -> str:
    said = (main.report or {})["predictions"]
    most = max(said["histogram"]) or 1
    bars = "".join(
        f'<i style="height:{100 * count / most:.1f}%" title="{count}"></i>'
        for count in said["histogram"]
    )
    scale = '<div class="scale"><span>0</span><span>0.5</span><span>1</span></div>'
    note = (
        f"{said['count']} breasts; min {said['min']:.3f}, mean {said['mean']:.3f}, max "
        f"{said['max']:.3f}; {said['positive_share']:.1%} at 0.5 or above."
    )
    body = f'<div class="histogram">{bars}</div>{scale}{_note(note)}'
    return _section("Distribution of the predictions", body)


def _provenance(provenance: Mapping[str, Any]) -> str:
    return _section(
        "What was rehearsed", f'<table class="facts">{"".join(_facts(provenance))}</table>'
    )


def _facts(provenance: Mapping[str, Any]) -> Iterator[str]:
    for kind, about in provenance["bundles"].items():
        yield _fact(kind, f"{about['id'][:16]}  {about['whence']}")
    for key in ("target", "python", "sandbox", "machine", "images", "tool"):
        if provenance[key]:
            yield _fact(key, str(provenance[key]))
    for note in provenance["notes"]:
        yield _fact("unlike there", note)


def _fact(name: str, said: str) -> str:
    return f"<tr><th>{text(name)}</th><td>{text(said)}</td></tr>"


def _log(log: str) -> str:
    lines = log.strip().splitlines()
    if not lines:
        return ""
    shown = "\n".join(lines[-LOG_LINES:])
    summary = "<summary>What the notebook printed</summary>"
    return f"<section><details>{summary}<pre>{text(shown)}</pre></details></section>"
