"""A competition with a gateway, as a rehearsal sees it: its tables, handed over call by call."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from bundler.competition import tables
from bundler.competition.gateway import package, public_rows
from bundler.competition.gateway.hidden import GatewayTest
from bundler.competition.gateway.package import Package
from bundler.competition.general import TableCompetition, TableTest
from bundler.competition.protocol import Competition
from bundler.competition.tables import Plan, TableSet
from bundler.errors import InputError
from bundler.sandbox import backends, namespaces, pod
from bundler.sandbox.backends import SandboxError

# The gateway itself reads the rows' files, so that the host's data have them all.
IMPOSSIBLE = "missing file"
NO_TABLES = "the competition's own files: there are no rows to deal a hidden test from"


@dataclass(frozen=True, kw_only=True)
class GatewayCompetition:
    """A competition whose folder holds kaggle_evaluation."""

    tables: TableCompetition
    package: Package
    hidden_rows: int  # of the real one
    ordered: bool = False  # each call depends on those before it

    @property
    def unit(self) -> str:
        """Return what --units counts."""
        return self.tables.unit

    @property
    def rows(self) -> str:
        """Return what the setting `hidden_units` counts."""
        return self.tables.rows

    def public(self) -> GatewayTest | None:
        """Return the public test, which `run_local_gateway` hands over within the notebook."""
        own = self.tables.profile()
        if own is None:
            return None
        data = TableSet(
            folder=own.folder,
            profile=own,
            dealt=(),
            ids=public_rows.ids(own),
            source="the public test rows",
        )
        inner = TableTest(data=data, plan=Plan(units=0), competition=self.tables)
        return self._handed_over(inner, rerun=False)

    def validate(self, units: int | None) -> None:
        """Raise UsageError for a number that cannot be; InputError where the gateway lacks data.

        Raises SandboxError where this machine cannot make the gateway's sandbox.
        """
        self.tables.validate(units)
        if reason := backends.reasons()[pod.BACKEND]:
            raise SandboxError(
                "A gateway cannot be rehearsed here: its sandbox and the notebook's share a "
                f"network and mounts, and this machine cannot make such a pair ({reason}). "
                f"{namespaces.ALLOW}"
            )
        if missing := self._missing():
            raise InputError(
                f"{self.package.gateway} reads {', '.join(missing)}, which "
                f"{self.package.folder} lacks, so that it would fail before the first call. "
                "Download the competition's files again, all of them."
            )

    def write(self, folder: Path, units: int) -> GatewayTest:
        """Write a hidden test for the gateway, and what the notebook finds in its place."""
        own = self.tables.profile()
        if own is not None and own.test is None and not own.hidden.hook:
            data = TableSet(folder=own.folder, profile=own, dealt=(), ids=(), source=NO_TABLES)
            inner = TableTest(data=data, plan=Plan(units=0), competition=self.tables)
            return self._handed_over(inner)
        inner = self.tables.write(folder, units)
        if not (folder / package.NAME).is_dir():  # a hook of the user's writes the rows alone
            shutil.copytree(self.package.folder / package.NAME, folder / package.NAME)
        return self._handed_over(
            inner, public_names=public_rows.in_place_of(inner, self.package.folder)
        )

    def _handed_over(
        self,
        inner: TableTest,
        *,
        public_names: Mapping[str, Path] = MappingProxyType({}),
        rerun: bool = True,
    ) -> GatewayTest:
        return GatewayTest(
            inner=inner,
            package=self.package,
            hidden_rows=self.hidden_rows,
            public_names=public_names,
            rerun=rerun,
            ordered=self.ordered,
        )

    def _missing(self) -> list[str]:
        """Return what the gateway reads and nobody has: neither the folder nor the hidden test."""
        own = self.tables.profile()
        if own is None or own.hidden.hook:  # which may write anything
            return []
        dealt = tables.written(own)
        return [name for name in self.package.missing if name.partition("/")[0] not in dealt]


def choose(own: TableCompetition, rows: int, *, ordered: bool = False) -> Competition:
    """Return the competition with its gateway where its folder holds one.

    `rows` are those of the real hidden test; `ordered` says that each call depends on those before.
    Raises InputError where the settings say that there is one, or it is of an unknown version.
    """
    folder = own.folder
    found = package.read(folder) if folder and folder.is_dir() else None
    if found is None:
        if own.hidden.gateway and folder and folder.is_dir():
            raise InputError(package.absent(folder))
        return own
    awkward = tuple(case for case in own.hidden.awkward if case != IMPOSSIBLE)
    possible = replace(own, hidden=replace(own.hidden, awkward=awkward))
    return GatewayCompetition(tables=possible, package=found, hidden_rows=rows, ordered=ordered)
