"""Do memory, disk, open files and threads suffice for the hidden test, projected from all runs?

Where one grows, the process or the folder is named, and by how much for each row.
"""

from collections.abc import Sequence

from bundler.competition.check import Check, Status
from bundler.rehearse.checks.projection import RED, listed
from bundler.rehearse.quantities import Name, Quantity, singular

MEMORY_ADVICE = "Use fewer --workers or a smaller batch, and free what is done with."
DISK_ADVICE = "Delete what is done with; only the submission must stay."
ADVICE = {
    "open files": "Close each file: open it in a `with` block.",
    "threads": "End each thread or pool: make it once, or in a `with` block.",
}


def check(quantities: Sequence[Quantity], rows: str, units: int) -> list[Check]:
    """Return a check each of memory, disk, open files and threads."""
    by_name: dict[Name, list[Quantity]] = {}
    for one in quantities:
        by_name.setdefault(one.name, []).append(one)
    memory = by_name.get("memory", [])
    return [
        *(_memory(memory[0], memory[1:], rows, units) for _ in memory[:1]),
        *(_disk(own, rows, units) for own in [by_name.get("disk", [])] if own),
        *(_countable("open files", by_name.get("open files", []), rows, units)),
        *(_countable("threads", by_name.get("threads", []), rows, units)),
    ]


def _memory(whole: Quantity, parts: Sequence[Quantity], rows: str, units: int) -> Check:
    """Return whether memory suffices, of all processes together and of each kind alone.

    One kind may grow plainly while the sum does so in steps, as other processes load libraries.
    """
    worst = max([whole, *parts], key=lambda one: (ORDER.index(_status(one)), one.projected))
    status = _status(worst)
    message = _of_limit(worst if status == "failed" else whole, rows, units)
    growing = [part for part in parts if part.fit and part.fit.grows]
    if growing and status != "passed":
        message += f" {_growth(max(growing, key=_reading), rows)}"
    if status == "failed":
        message += f" That is beyond 80 %. {MEMORY_ADVICE}"
    elif status == "unproven" and whole.fit:
        message += " Whether it goes on is not known: raise --budget."
    return Check(name="memory", status=status, message=f"{message}{_unknown(whole)}")


def _reading(quantity: Quantity) -> float:
    return quantity.fit.value if quantity.fit else quantity.most


def _disk(folders: Sequence[Quantity], rows: str, units: int) -> Check:
    lines, statuses = list[str](), list[Status]()
    for folder in folders:
        status = _status(folder)
        line = f"{_of_limit(folder, rows, units)[:-1]} in {folder.place}."
        if folder.grows and status != "passed":
            line += f" {_growth(folder, rows)}"
        if status == "failed":
            line += f" That is beyond 80 %. {DISK_ADVICE}"
        lines.append(line)
        statuses.append(status)
    worst = max(statuses, key=ORDER.index)
    return Check(name="disk", status=worst, message=" ".join(lines) + _unknown(folders[0]))


ORDER: tuple[Status, ...] = ("passed", "unproven", "failed")


def _countable(name: Name, places: Sequence[Quantity], rows: str, units: int) -> list[Check]:
    """Return a check of what is counted for each process; none where nothing could be seen."""
    if not any(place.most for place in places):
        return []
    largest = max(places, key=lambda place: place.projected)
    assert largest.limit is not None
    message = f"{largest.most:.0f} at most, in {largest.place}"
    status: Status = "passed"
    if largest.grows and largest.projected > RED * largest.limit:
        status = "failed"
        message = (
            f"{_growth(largest, rows)} {largest.projected:.0f} {name} at {units} {rows}, where "
            f"many systems allow {largest.limit:.0f}. {ADVICE[name]}"
        )
    elif any(place.is_open(RED) for place in places):
        (first, *_) = [place for place in places if place.is_open(RED)]
        assert first.fit is not None
        status = "unproven"
        message += f". {first.place.capitalize()} may have {first.fit.high:.0f} at {units} {rows}."
    elif largest.fit is None:
        status, message = "unproven", f"{message}.{_unknown(largest)}"
    return [Check(name=name, status=status, message=message)]


def _status(quantity: Quantity) -> Status:
    assert quantity.limit is not None
    bound, fit = RED * quantity.limit, quantity.fit
    if quantity.most > bound or (quantity.grows and quantity.projected > bound):
        return "failed"
    return "unproven" if fit is None or fit.high > bound else "passed"


def _of_limit(quantity: Quantity, rows: str, units: int) -> str:
    """Say how much it is, of how much: "0.52 of 21.1 GB at 32000 images (0.50 to 3.10 GB)."."""
    assert quantity.limit is not None
    limit, fit = quantity.limit / 1e9, quantity.fit
    if fit is None:
        (point, *_) = quantity.points
        return f"{quantity.most / 1e9:.2f} of {limit:.1f} GB at {point.units} {rows}."
    low, high = max(fit.low, 0.0) / 1e9, fit.high / 1e9
    return (
        f"{quantity.projected / 1e9:.2f} of {limit:.1f} GB at {units} {rows} "
        f"({low:.2f} to {high:.2f} GB)."
    )


def _growth(quantity: Quantity, rows: str) -> str:
    """Say what grows, where, by how much."""
    fit = quantity.fit
    assert fit is not None
    if not fit.linear:
        low, high = fit.exponents
        how = f"with the power {fit.best.exponent:.1f} ({low:.1f} to {high:.1f}) of the {rows}"
    elif quantity.name in ("memory", "disk"):
        how = f"by {fit.per_unit / 1e6:.2f} MB for each {singular(rows)}"
    else:
        how = f"by {fit.per_unit:.2f} for each {singular(rows)}"
    what = {"memory": "", "disk": ""}.get(quantity.name, f"{quantity.name} of ")
    return f"{(what + quantity.place).capitalize()} grew {how}, by runs on {listed(fit.sizes)}."


def _unknown(quantity: Quantity) -> str:
    if quantity.fit is not None:
        return ""
    return " Whether it grows is not known: it was run at one size."
