"""A bundle becomes a dataset's newest version, proven by reading it back."""

from collections.abc import Callable
from pathlib import Path

from bundler.publish import bundles, dataset
from bundler.settings import Settings
from tests.kaggle.server import USER, Kaggle

MakeBundle = Callable[..., Path]
LIBS = f"{USER}/rsna-bundle-libs"


def publish(settings: Settings, kind: str = "libs") -> dataset.Published:
    """Publish one kind from `dist`."""
    said: list[str] = []
    (done,) = bundles.publish(settings, settings.dist, [kind], said.append).datasets
    return done


def test_create_then_version_then_nothing(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle
) -> None:
    make_bundle()
    first = publish(settings)
    assert (first.changed, first.ref, first.files) == (True, LIBS, 3)
    folder = make_bundle(content=b"two")
    second = publish(settings)
    assert second.changed
    versions = kaggle.datasets.all[LIBS].versions
    assert len(versions) == 2
    assert kaggle.datasets.all[LIBS].private
    assert versions[1].files == {p.name: p.read_bytes() for p in folder.iterdir()}
    assert second.id in versions[1].notes
    kaggle.calls.clear()
    before = kaggle.datasets.bytes_received
    assert not publish(settings).changed
    assert kaggle.datasets.bytes_received == before
    assert [call for call in kaggle.calls if not call.startswith("GET storage")] == [
        "datasets.DatasetApiService/DownloadDataset",
        "datasets.DatasetApiService/ListDatasetFiles",
    ]
