"""sbom.json and advisories."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import CheckError, InputError
from bundler.libs import advisories
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]


def advisory(name: str = "pydicom", **affected: Any) -> dict[str, Any]:
    package = {"ecosystem": "PyPI", "name": name}
    return {
        "id": "TEST-1",
        "summary": "reads too much",
        "affected": [{"package": package, **affected}],
    }


def events(*steps: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(steps)}]}


def test_bill_of_materials_lists_every_wheel(libs: Libs, registry: Registry, folder: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    made = libs("albumentations")

    text = (folder / "dist" / "libs" / "sbom.json").read_text()
    content = json.loads(text)
    listed = {entry["name"]: entry for entry in content["components"]}
    for pin in made.lock.pins:
        assert listed[pin.name]["version"] == pin.version
        assert listed[pin.name]["hashes"] == [{"alg": "SHA-256", "content": pin.sha256}]
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in content["dependencies"]}
    assert needs["albumentations@2.0.8"] == ["numpy@2.3.0", "tqdm@4.0"]
    assert needs["libs"] == ["albumentations@2.0.8"]
    try:
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except ImportError:  # the validator is an extra of the library
        return
    assert problem is None


@pytest.mark.parametrize(
    "affected",
    [
        {"versions": ["3.0.2"]},
        events({"introduced": "0"}),
        events({"introduced": "0"}, {"fixed": "3.0.3"}),
        events({"fixed": "3.1"}, {"introduced": "3.0"}),
        events({"introduced": "3.0"}, {"last_affected": "3.0.2"}),
        events({"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "3.0.2"}),
    ],
)
def test_advisory_against_the_bundle_stops_it(
    libs: Libs, registry: Registry, folder: Path, affected: dict[str, Any]
) -> None:
    (folder / "advisories.json").write_text(json.dumps([advisory(**affected)]))

    with pytest.raises(CheckError, match=r"pydicom 3\.0\.2: TEST-1 reads too much"):
        libs("pydicom", audit=folder / "advisories.json")
    assert not (folder / "dist" / "libs").exists()


@pytest.mark.parametrize(
    "entry",
    [
        advisory(versions=["3.0.1"]),
        advisory(**events({"introduced": "0"}, {"fixed": "3.0.2"})),
        advisory(**events({"introduced": "3.0.3"})),
        advisory(**events({"introduced": "0"}, {"last_affected": "3.0.1"})),
        advisory("pydicom-data", **events({"introduced": "0"})),
        {**advisory(**events({"introduced": "0"})), "withdrawn": "2026-01-01T00:00:00Z"},
    ],
)
def test_advisory_against_others_does_not(tmp_path: Path, entry: dict[str, Any]) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"vulns": [entry]}))

    found = advisories.read(tmp_path / "a.json")

    assert list(advisories.affecting(found, "pydicom", "3.0.2")) == []


def test_unchanged_bundle_is_audited_all_the_same(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    libs("pydicom")
    (folder / "advisories.json").write_text(json.dumps(advisory(versions=["3.0.2"])))

    with pytest.raises(CheckError, match="TEST-1"):
        libs(audit=folder / "advisories.json")


@pytest.mark.parametrize("content", ["", "3", '["x"]', "[{}]", '{"vulns": 3}'])
def test_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)

    with pytest.raises(InputError, match="is not a file of advisories"):
        advisories.read(tmp_path / "a.json")
