"""One screen: what lies here, what Kaggle holds, what the last run was mounted with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bundler.publish import bundles, dataset, kernel, outputs, slugs
from bundler.publish.bundles import KINDS
from bundler.publish.client import Say, connect
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.errors import BundleError


@dataclass(frozen=True, kw_only=True)
class Row:
    """One bundle in its three places."""

    kind: str
    ref: str
    local: str | None
    published: str | None
    mounted: str | None

    @property
    def stale(self) -> str:
        """Return what is behind, in words; nothing where all three agree."""
        if self.local is None:
            return f"not built: rsna-bundle {self.kind}"
        if self.published != self.local:
            return f"not published: rsna-bundle publish {self.kind}"
        if self.mounted != self.local:
            return "not in the last run: rsna-bundle push"
        return ""


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of all bundles and of the notebook."""

    rows: Sequence[Row]
    notebook: str
    version: int
    state: str

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        rows = [vars(row) | {"stale": row.stale} for row in self.rows]
        return vars(self) | {"rows": rows}

    def summary(self) -> str:
        """Return the screen for people."""
        lines = [f"{'':6} {'here':12}  {'published':12}  {'last run':12}"]
        for row in self.rows:
            ids = "  ".join(_short(one) for one in (row.local, row.published, row.mounted))
            lines.append(f"{row.kind:6} {ids}  {row.stale or 'up to date'}")
        version = f"version {self.version}, {self.state}" if self.version else "not pushed yet"
        return "\n".join([*lines, f"notebook {self.notebook}: {version}"])


def look(settings: Settings, say: Say) -> Status:
    """Compare the laptop, Kaggle's datasets and the last run."""
    client = connect(say)
    ref = slugs.reference(client.user, settings.notebook, "notebook")
    version = kernel.current(client, ref)
    state = kernel.state(client, ref) if version else ""
    content = outputs.read(client, ref, "submission.json") if version else None
    mounted = _ids(content)
    rows = [
        Row(
            kind=kind,
            ref=str(place),
            local=_local(settings, kind),
            published=dataset.held_id(client, place),
            mounted=mounted.get(kind),
        )
        for kind, place in bundles.refs(client, settings, KINDS).items()
    ]
    return Status(rows=rows, notebook=str(ref), version=version, state=state)


def _local(settings: Settings, kind: str) -> str | None:
    try:
        return reader.read(settings.dist / kind).id
    except BundleError:
        return None


def _ids(content: bytes | None) -> dict[str, str]:
    try:
        said = json.loads(content or b"{}").get("ids", {})
    except (ValueError, AttributeError):
        return {}
    return {str(kind): str(identity) for kind, identity in said.items()}


def _short(identity: str | None) -> str:
    return (identity or "–")[:12].ljust(12)
