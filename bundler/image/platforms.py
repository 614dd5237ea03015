"""Platform tags: which wheels of an index a system can load (PEP 425, 600)."""

from collections.abc import Iterator

from packaging.tags import mac_platforms

OLDEST_GLIBC = {"x86_64": 5, "i686": 5}  # PEP 600; other machines begin at 2.17
LEGACY_GLIBC = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
WINDOWS = {"AMD64": "win_amd64", "ARM64": "win_arm64", "x86": "win32"}


def platforms(system: str, release: str, machine: str) -> list[str]:
    """Return the tags that fit, best first. Raises LookupError, ValueError for what is unknown."""
    if system == "linux":
        return list(_linux(release, machine))
    if system == "darwin":
        major, minor = (int(part) for part in release.split(".")[:2])
        return list(mac_platforms((major, minor), machine))
    return [WINDOWS[machine]]


def _linux(release: str, machine: str) -> Iterator[str]:
    newest = int(release.split(".")[1])
    yield f"linux_{machine}"
    for minor in range(newest, OLDEST_GLIBC.get(machine, 17) - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in LEGACY_GLIBC:
            yield f"{LEGACY_GLIBC[minor]}_{machine}"
