"""Which images stand for all: patients of every machine, and the share of each transfer syntax.

A machine stores its images in one transfer syntax, and one takes several times as long to decode
as another. A few patients drawn at random hold the syntaxes in other shares than all of them do.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

SURVEYED = 300  # images whose transfer syntax is looked up, to know the shares
SEED = 0
CATEGORIES = ("site_id", "machine_id", "laterality", "view", "implant")  # of the test table
LITTLE = 0.01  # a share that need not be measured
SYNTAXES = {
    "1.2.840.10008.1.2": "uncompressed, implicit VR",
    "1.2.840.10008.1.2.1": "uncompressed, explicit VR",
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
}
Row = Mapping[str, str]
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Ordinary images of a rehearsal, and the shares in which the hidden test holds their kinds."""

    syntaxes: Mapping[str, str] = field(default_factory=dict)  # image id → transfer syntax
    shares: Mapping[str, float] = field(default_factory=dict)  # of all images, by transfer syntax

    @property
    def counts(self) -> Counter[str]:
        """Return how many of the images have each transfer syntax."""
        return Counter(self.syntaxes.values())

    @property
    def weights(self) -> dict[str, float]:
        """Return the share of each transfer syntax among those that the images have."""
        known = {name: self.shares.get(name, 0.0) for name in self.counts}
        # Where nothing is known of the hidden test, the sample speaks for it.
        if not sum(known.values()):
            known = dict(self.counts)
        whole = sum(known.values())
        return {name: share / whole for name, share in known.items()}

    @property
    def unseen(self) -> dict[str, float]:
        """Return the shares of the transfer syntaxes that none of the images has."""
        have = self.counts
        return {n: share for n, share in self.shares.items() if share >= LITTLE and not have[n]}

    def order(self, count: int) -> list[str]:
        """Return so many image ids, again and again, in the shares of the hidden test."""
        by_syntax: defaultdict[str, list[str]] = defaultdict(list)
        for name, syntax in self.syntaxes.items():
            by_syntax[syntax].append(name)
        weights, given = self.weights, Counter[str]()
        taken = []
        # The kind that is most behind its share comes next: any stretch of the list holds all
        # kinds in their shares, wherever the measuring is cut off.
        for number in range(1, count + 1 if by_syntax else 1):
            behind = {name: number * weights[name] - given[name] for name in by_syntax}
            syntax = max(behind, key=behind.__getitem__)
            images = by_syntax[syntax]
            taken.append(images[given[syntax] % len(images)])
            given[syntax] += 1
        return taken


def choose(rows: Sequence[Row], number: int) -> set[str]:
    """Choose patients by a fixed seed, as many of each machine as its share is.

    More than `number` where these do not show every value of the columns `CATEGORIES`: a rare view
    may be the one that the notebook fails on.
    """
    if not number:
        return set()
    machines = {row["patient_id"]: _machine(row) for row in rows}
    patients = sorted(machines)
    random.Random(SEED).shuffle(patients)
    # Sorted by machine (the sort keeps the shuffled order within one), then evenly spread.
    chosen = set(_spread(sorted(patients, key=machines.__getitem__), number))
    values: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in rows:
        values[row["patient_id"]] |= {(name, row[name]) for name in CATEGORIES if row.get(name)}
    shown = set().union(*(values[patient] for patient in chosen))
    for patient in patients:
        if not values[patient] <= shown:
            shown |= values[patient]
            chosen.add(patient)
    return chosen


def survey(images: Path, rows: Sequence[Row]) -> dict[str, float]:
    """Return the share of each transfer syntax among all rows, from some of every machine."""
    # Reading the header of each of 55,000 files would take minutes on a slow disk.
    some = _spread(sorted(rows, key=_machine), SURVEYED)
    counts = Counter(syntaxes(images, some).values())
    return {name: count / counts.total() for name, count in counts.items()}


def syntaxes(images: Path, rows: Sequence[Row]) -> dict[str, str]:
    """Return the transfer syntax (0002,0010) of each row's file, as far as it can be read."""
    paths = {r["image_id"]: images / r["patient_id"] / f"{r['image_id']}.dcm" for r in rows}
    by_image = {name: _syntax(path) for name, path in paths.items()}
    return {name: syntax for name, syntax in by_image.items() if syntax}


def _syntax(path: Path) -> str | None:
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    try:
        return str(read_file_meta_info(path).TransferSyntaxUID)
    except (OSError, InvalidDicomError, AttributeError):
        return None


def _machine(row: Row) -> tuple[str, str]:
    return row.get("site_id") or "", row.get("machine_id") or ""


def _spread(items: Sequence[Item], number: int) -> list[Item]:
    """Return so many items, evenly spread over all."""
    number = min(number, len(items))
    return [items[(2 * index + 1) * len(items) // (2 * number)] for index in range(number)]
