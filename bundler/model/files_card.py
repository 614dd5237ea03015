"""What `rsna-bundle model show` prints of a bundle of files."""

from collections.abc import Mapping
from dataclasses import dataclass

from bundler.model import sources
from bundler.model.metrics import most_telling
from bundler.model.table import align, text
from bundler.progress import amount
from bundler.result import Json
from inference.boot import files
from inference.boot.bundle import Bundle
from inference.boot.files import Contents
from inference.boot.manifest import ModelFiles, Weights

MOST_ROWS = 60  # files that are listed: those of which something is known, then the largest


@dataclass(frozen=True, kw_only=True)
class FilesCard:
    """The result of `model show` for a bundle of files."""

    bundle: Bundle

    def summary(self) -> str:
        """Return the table for people."""
        return render(self.bundle)

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return as_dict(self.bundle)


def render(bundle: Bundle) -> str:
    """Return a bundle's files as a table, the known scores beside them, and what has changed."""
    held, known = files.contents(bundle), known_of(bundle)
    sizes = {file.name: amount(file.bytes, "B") for file in held.alone}
    largest = sorted(held.alone, key=lambda file: -file.bytes)
    shown = sorted(list(dict.fromkeys([*known, *(file.name for file in largest)]))[:MOST_ROWS])
    metrics = most_telling(list(dict.fromkeys(m for one in known.values() for m in one.metrics)))
    rows = [["file", "size", "sha256", "fold", "epoch", *metrics]]
    for name in shown:
        one = known.get(name, Weights(name=name))
        scores = [text(one.metrics.get(metric)) for metric in metrics]
        digest = held.files[name].sha256[:12]
        rows.append([name, sizes.get(name, ""), digest, text(one.fold), text(one.epoch), *scores])
    return "\n".join([*align(rows), *_rest(held, len(shown)), *_warnings(bundle)])


def as_dict(bundle: Bundle) -> Mapping[str, Json]:
    """Return what `model show --json` prints."""
    known = known_of(bundle)
    listed: list[Json] = []
    for name, member in sorted(files.contents(bundle).files.items()):
        one = known.get(name, Weights(name=name))
        about = {"fold": one.fold, "epoch": one.epoch, "metrics": dict(one.metrics)}
        listed.append({"name": name, "sha256": member.sha256, **about})
    return {"id": bundle.id, "files": listed, "changes": sources.changes(bundle)}


def known_of(bundle: Bundle) -> Mapping[str, Weights]:
    """Return what a bundle knows of single files, by their name."""
    part = bundle.manifest.part
    assert isinstance(part, ModelFiles)
    return {one.name: one for one in part.weights}


def _rest(held: Contents, shown: int) -> list[str]:
    left = len(held.files) - shown
    size = amount(sum(volume.bytes for volume in held.volumes), "B")
    volumes = f"{len(held.volumes)} volume{'s' if len(held.volumes) != 1 else ''} of {size}"
    lines = [f"and {left} more files"] if left else []
    return [*lines, f"{volumes}, unpacked on the notebook"] if held.volumes else lines


def _warnings(bundle: Bundle) -> list[str]:
    changed = sources.warning(bundle)
    return [f"warning: {changed}"] if changed else []
