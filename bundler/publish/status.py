"""The bundles here, on Kaggle, and in the last run, compared."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bundler.model import sources
from bundler.notebook import folders, submission
from bundler.progress import Progress
from bundler.publish import bundles, dataset, images, kernel, outputs, push, slugs
from bundler.publish.bundles import KINDS
from bundler.publish.client import connect
from bundler.publish.failures import CredentialsError, OfflineError
from bundler.result import Json
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.boot.record import NAME as RECORD
from inference.errors import BundleError


@dataclass(frozen=True, kw_only=True)
class Row:
    """One bundle in its three places."""

    kind: str
    ref: str
    local: str | None
    published: str | None
    mounted: str | None
    changed: bool = False  # the files that the bundle was made of, since then
    is_compared: bool = True  # with Kaggle

    @property
    def stale(self) -> str:
        """Return what is out of date and the command for it; "" if all three agree."""
        if self.local is None:
            return f"not built: rsna-bundle {self.kind}"
        if self.changed:
            return "its files have changed: rsna-bundle model --files"
        if not self.is_compared:
            return ""
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
    image: str = ""  # how the last run's differs from the pinned one
    local_only: str = ""  # why Kaggle was not asked

    def as_dict(self) -> dict[str, Json]:
        """Return what `--json` prints."""
        rows = [vars(row) | {"stale": row.stale} for row in self.rows]
        return vars(self) | {"rows": rows}

    def summary(self) -> str:
        """Return a table for people."""
        lines = [f"{'':6} {'here':12}  {'published':12}  {'last run':12}"]
        for row in self.rows:
            ids = "  ".join(_short(one) for one in (row.local, row.published, row.mounted))
            fine = "up to date" if row.is_compared else "built"
            lines.append(f"{row.kind:6} {ids}  {row.stale or fine}")
        if self.local_only:
            return "\n".join([*lines, f"Kaggle was not asked. {self.local_only}"])
        version = f"version {self.version}, {self.state}" if self.version else "not pushed yet"
        lines.append(f"notebook {self.notebook}: {version}")
        return "\n".join([*lines, *([f"image: {self.image}"] if self.image else [])])


def look(settings: Settings, progress: Progress) -> Status:
    """Compare the laptop, Kaggle's datasets and the last run; without Kaggle, look here alone."""
    try:
        client = connect(progress)
    except (CredentialsError, OfflineError) as error:
        return _look_here(settings, str(error))
    notebook = slugs.reference(client.user, settings.notebook, "notebook")
    version = kernel.current(client, notebook)
    state = kernel.state(client, notebook) if version else ""
    content = outputs.read(client, notebook, RECORD) if version else None
    mounted = push.used_ids(content)
    kinds = _kinds(settings, mounted)
    rows = [
        Row(
            kind=kind,
            ref=str(ref),
            local=_local(settings, kind),
            published=dataset.held_id(client, ref),
            mounted=mounted.get(kind),
            changed=kind == "model" and _has_changed(settings),
        )
        for kind, ref in bundles.refs(client, settings, kinds).items()
    ]
    return Status(
        rows=rows,
        notebook=str(notebook),
        version=version,
        state=state,
        image=images.difference(settings, content),
    )


def _look_here(settings: Settings, reason: str) -> Status:
    """Return what this machine knows by itself."""
    owner = settings.owner or "?"
    rows = [
        Row(
            kind=kind,
            ref=f"{owner}/{getattr(settings.datasets, kind)}",
            local=_local(settings, kind),
            published=None,
            mounted=None,
            changed=kind == "model" and _has_changed(settings),
            is_compared=False,
        )
        for kind in _kinds(settings, ())
    ]
    notebook = f"{owner}/{settings.notebook}"
    return Status(rows=rows, notebook=notebook, version=0, state="", local_only=reason)


def _kinds(settings: Settings, mounted: Collection[str]) -> tuple[str, ...]:
    """Return the kinds of bundles that the notebook needs, has here, or ran with."""
    needed = submission.kinds(settings.dist, submission.plan(settings))
    return tuple(kind for kind in KINDS if kind in needed or kind in mounted)


def _local(settings: Settings, kind: str) -> str | None:
    try:
        return reader.read(folders.folder(settings.dist, kind, settings.target)).id
    except BundleError:
        return None


def _has_changed(settings: Settings) -> bool:
    """Say whether weights that were bundled as they are were written to since, on this machine."""
    try:
        return bool(sources.changes(reader.read(settings.dist / "model")))
    except BundleError:
        return False


def _short(identity: str | None) -> str:
    return (identity or "–")[:12].ljust(12)
