"""sbom.json: what a libs bundle consists of, in CycloneDX, of equal bytes for equal locks."""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bundler.libs.locks import Lock
from bundler.libs.resolve.resolution import Pin
from bundler.libs.wheels import Wheel

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

NAME = "sbom.json"
NAMESPACE = uuid.UUID("5d1f5f0e-7b0c-4a63-9a53-5b6f2a1a7c11")  # ours, for uuid5
LONGEST_LICENSE = 200  # characters; some packages put the whole text into that field


def write(lock: Lock, wheels: Iterable[Wheel]) -> str:
    """Return the bill of materials of a lock as JSON text (CycloneDX 1.6)."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    known = {wheel.path.name: wheel for wheel in wheels}
    root = Component(name=f"libs for {lock.target}", type=ComponentType.APPLICATION, bom_ref="libs")
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, lock.text()))
    bom.metadata.component = root
    components = {
        pin.name: _component(pin, known.get(pin.file)) for pin in (*lock.build, *lock.pins)
    }
    for component in components.values():
        bom.components.add(component)
    for name, needs in _dependencies(lock).items():
        asking = components.get(name, root)
        bom.register_dependency(asking, [components[need] for need in sorted(needs)])
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    for moment in (
        "timestamp",
        "tools",
    ):  # of the run, not of the content: equal locks, equal bytes
        content["metadata"].pop(moment, None)
    content["metadata"]["properties"] = [
        {"name": "rsna-bundle:target", "value": f"{lock.target} {lock.target_digest}"},
        {"name": "rsna-bundle:python", "value": lock.python},
    ]
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _dependencies(lock: Lock) -> Mapping[str, set[str]]:
    """Return who needs whom among what is in the bundle; `via` is the other way round."""
    needs: dict[str, set[str]] = {pin.name: set() for pin in lock.pins}
    for pin in lock.pins:
        for who in pin.via:
            needs.setdefault(who if who in needs else "", set()).add(pin.name)
    return needs


def _component(pin: Pin, wheel: Wheel | None) -> "Component":
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense
    from packageurl import PackageURL

    license_name = _license(wheel) if wheel else None  # an sdist's is not known before the build
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{pin.name}@{pin.version}",
        purl=PackageURL(
            "pypi", name=pin.name, version=pin.version, qualifiers={"file_name": pin.file}
        ),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=pin.sha256)],
        licenses=[DisjunctiveLicense(name=license_name)] if license_name else [],
    )


def _license(wheel: Wheel) -> str | None:
    """Return the licence that a wheel declares, where it is short enough for a name."""
    for key in ("license-expression", "license"):
        text = wheel.headers.get(key, [""])[0].strip()
        if text and len(text) <= LONGEST_LICENSE and "\n" not in text:
            return text
    prefix = "License :: "
    classes = [line for line in wheel.headers.get("classifier", []) if line.startswith(prefix)]
    return classes[0].rpartition(" :: ")[2] if classes else None
