"""A bundle becomes a dataset's newest version, proven by reading it back."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundler import bundle
from bundler.errors import InputError, NetworkError, UsageError
from bundler.progress import SILENT
from bundler.publish import bundles, dataset
from bundler.publish.bundles import PublishOptions
from bundler.publish.client import connect
from bundler.publish.failures import CredentialsError
from bundler.settings import Datasets, Settings
from inference.errors import BundleError
from tests.kaggle.server import TOKEN, USER, Kaggle
from tests.kaggle.world import PARTS
from tests.recorder import Recorder

MakeBundle = Callable[..., Path]
LIBS = f"{USER}/rsna-bundle-libs"


def publish(settings: Settings, kind: str = "libs") -> dataset.Published:
    """Publish one kind from `dist`."""
    options = PublishOptions(kinds=(kind,))
    (done,) = bundles.publish(settings, settings.dist, options, SILENT).datasets
    return done


def test_create_then_version_then_nothing(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle, tmp_path: Path
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
    assert names(kaggle) == ["DownloadDataset"]
    shutil.rmtree(tmp_path / "cache")  # another machine does not know that all files are there
    kaggle.calls.clear()
    assert not publish(settings).changed
    assert names(kaggle) == ["DownloadDataset", "ListDatasetFiles"]


def test_uploads_advance_a_bar_for_each_file(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_bundle(content=b"x" * 5000)
    progress = Recorder()
    bundles.publish(settings, settings.dist, PublishOptions(kinds=("libs",)), progress)
    sizes = {f"Sending {path.name}": path.stat().st_size for path in folder.iterdir()}
    assert progress.bars == sizes
    assert capfd.readouterr() == ("", "")  # neither the client nor its bar prints anything


def names(kaggle: Kaggle) -> list[str]:
    """Return the calls of the API that were made."""
    return [call.rpartition("/")[2] for call in kaggle.calls if "GET" not in call]


def test_a_token_signs_in_once(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle()
    publish(settings)
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    kaggle.calls.clear()
    assert not publish(settings).changed
    assert names(kaggle) == ["IntrospectToken", "DownloadDataset"]


def test_no_credentials(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsError, match="Create a token at"):
        connect()
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_unknown")
    with pytest.raises(CredentialsError, match="rejected KAGGLE_API_TOKEN") as caught:
        connect()
    assert "KGAT_unknown" not in str(caught.value)
    assert isinstance(caught.value, NetworkError)
    assert caught.value.exit_code == 8


@pytest.mark.parametrize(
    ("slug", "message"),
    [("libs", "4 characters"), ("x" * 51, "51 characters"), ("My Libs", "lowercase letters")],
)
def test_bad_slugs(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle, slug: str, message: str
) -> None:
    make_bundle()
    with pytest.raises(UsageError, match=message):
        publish(replace(settings, datasets=Datasets(libs=slug)))
    assert not [call for call in kaggle.calls if "Dataset" in call]


def test_an_owner_that_is_not_the_credentials(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle
) -> None:
    make_bundle()
    with pytest.raises(UsageError, match="credentials are for 'rosa'"):
        publish(replace(settings, owner="somebody-else"))


def test_what_is_no_whole_bundle_is_not_sent(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle
) -> None:
    with pytest.raises(InputError, match="rsna-bundle libs"):
        publish(settings)
    folder = make_bundle()
    (folder / "a.txt").write_bytes(b"two")
    with pytest.raises(BundleError, match="was altered"):
        publish(settings)
    assert kaggle.datasets.bytes_received == 0


def test_a_dataset_over_its_limits(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle()
    monkeypatch.setattr(dataset, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="at its top level"):
        publish(settings)
    monkeypatch.setattr(dataset, "MOST_BYTES", 10**9)
    monkeypatch.setattr(dataset, "MOST_FILES", 2)
    with pytest.raises(InputError, match="3 files"):
        publish(settings)


@pytest.mark.parametrize("layout", ["flat", "name", "name/name"])
def test_an_archive_that_kaggle_unpacked_counts_as_there(
    kaggle: Kaggle,
    settings: Settings,
    make_wheel: Callable[..., Path],
    tmp_path: Path,
    layout: str,
) -> None:
    kaggle.faults.unpack_by_content, kaggle.faults.layout = True, layout
    wheel = make_wheel("alpha")
    bundle.write(settings.dist / "libs", {wheel.name: wheel}, PARTS["libs"])
    assert publish(settings).changed
    assert not publish(settings).changed
    served = kaggle.datasets.all[LIBS].served
    assert served is not None
    assert any(name.endswith("alpha/__init__.py") for name in served.files)
    lost = next(name for name in served.files if name.endswith("alpha/__init__.py"))
    del served.files[lost]
    shutil.rmtree(tmp_path / "cache")
    assert publish(settings).changed  # a member is missing: it is sent again


def test_many_files_are_listed_page_by_page(
    kaggle: Kaggle, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "PAGE", 7)
    files = {}
    for number in range(30):
        files[f"{number:02}.bin"] = tmp_path / f"{number:02}.bin"
        files[f"{number:02}.bin"].write_bytes(b"x" * number)
    bundle.write(settings.dist / "libs", files, PARTS["libs"])
    assert publish(settings).files == 31
    assert not publish(settings).changed


def test_a_killed_upload_goes_on_where_it_was(
    kaggle: Kaggle, settings: Settings, tmp_path: Path
) -> None:
    size = 24 << 20
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(size))
    bundle.write(settings.dist / "libs", {"big.bin": big}, PARTS["libs"])
    kaggle.faults.hold_blob_at = 8 << 20
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-m", "bundler.cli", "publish", "libs"],
        cwd=settings.root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
    ) as process:
        end = time.monotonic() + 60
        while not kaggle.faults.holding and time.monotonic() < end:
            time.sleep(0.02)
        assert kaggle.faults.holding
        process.send_signal(signal.SIGKILL)
    assert not kaggle.datasets.all  # nothing half is a version
    kaggle.faults.hold_blob_at = None
    time.sleep(0.2)
    assert publish(settings).changed
    assert kaggle.datasets.all[LIBS].served
    extra = kaggle.datasets.bytes_received - size
    assert extra < 1 << 20  # the rest of it and the manifest, not all again
