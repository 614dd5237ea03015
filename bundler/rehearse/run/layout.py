"""Where Kaggle mounts datasets and competitions, and in which form an upload arrives there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bundler.rehearse.run import upload
from bundler.settings import Settings

INPUT, WORKING = "/kaggle/input", "/kaggle/working"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One of the ways in which Kaggle lays out a notebook's input."""

    name: str
    datasets: str  # the folder of the datasets; {owner} is their owner
    competitions: str
    forms: Mapping[str, str]  # kind of bundle → the form in which its upload arrives

    def mounts(self, settings: Settings, kinds: Iterable[str]) -> dict[str, str]:
        """Return where the notebook finds each kind's dataset, and the `competition`."""
        datasets = self.datasets.format(owner=settings.owner or "owner")
        paths = {kind: f"{datasets}/{getattr(settings.datasets, kind)}" for kind in kinds}
        return {**paths, "competition": f"{self.competitions}/{settings.competition}"}


# Kaggle mounts datasets in this way since 2026-02, but the old way was seen after it, once both on
# one day: a notebook must find its bundles in either.
NEW = Layout(
    name="new",
    datasets=f"{INPUT}/datasets/{{owner}}",
    competitions=f"{INPUT}/competitions",
    forms=dict.fromkeys(("libs", "model", "code"), upload.PUBLISHED),
)
# Other forms than in the new layout; those left over are verified without a run (preflight).
LEGACY = Layout(
    name="legacy",
    datasets=INPUT,
    competitions=INPUT,
    forms={"libs": "name/", "model": upload.PUBLISHED, "code": "name/name/"},
)
LAYOUTS = {layout.name: layout for layout in (NEW, LEGACY)}
