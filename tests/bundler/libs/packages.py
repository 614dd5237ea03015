"""Build tiny real packages: wheels with metadata and RECORD, sdists with a backend of their own."""

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable

BACKEND = """
import zipfile, pathlib
NAME, VERSION, TAG, META, BODY = {name!r}, {version!r}, {tag!r}, {metadata!r}, {body!r}
def get_requires_for_build_wheel(config_settings=None):
    return []
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    {needs}
    stem = NAME.replace("-", "_") + "-" + VERSION
    name = stem + "-" + TAG + ".whl"
    info = stem + ".dist-info/"
    about = ["Wheel-Version: 1.0", "Generator: tiny", "Root-Is-Purelib: true", "Tag: " + TAG]
    members = {{NAME.replace("-", "_") + "/__init__.py": BODY, info + "METADATA": META}}
    members[info + "WHEEL"] = "\\n".join(about) + "\\n"
    names = [*members, info + "RECORD", *{member!r}[:1]]
    members[info + "RECORD"] = "".join(m + ",,\\n" for m in names)
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
        if {member!r}:
            archive.writestr({member!r}[0], bytes.fromhex({member!r}[1]))
    return name
"""


def metadata(
    name: str, version: str, requires: Iterable[str] = (), extras: Iterable[str] = ()
) -> str:
    """Return the METADATA of a package."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    return "\n".join([*lines, *(f"Requires-Dist: {line}" for line in requires)]) + "\n"


def wheel(
    name: str,
    version: str,
    requires: Iterable[str] = (),
    *,
    tag: str = "py3-none-any",
    extras: Iterable[str] = (),
    body: str | None = None,
    files: dict[str, str] | None = None,
    record_lacks: str | None = None,
    without_digest: str | None = None,
    metadata_name: str | None = None,
    without_module: bool = False,
) -> tuple[str, bytes]:
    """Return (file name, bytes) of a wheel that installs and imports."""
    module = name.replace("-", "_")
    stem = f"{module}-{version}"
    content = {f"{module}/__init__.py": body or f"__version__ = {version!r}\n", **(files or {})}
    if without_module:
        content = {f"{stem}.data/data/share/{module}.txt": "data\n"}
    content[f"{stem}.dist-info/METADATA"] = metadata(
        metadata_name or name, version, requires, extras
    )
    content[f"{stem}.dist-info/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: {tag}\n"
    )
    record = []
    for member, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        if member == without_digest:  # which the specification allows for signatures
            record.append(f"{member},,")
        elif member != record_lacks:
            record.append(f"{member},sha256={digest.decode()},{len(text.encode())}")
    record.append(f"{stem}.dist-info/RECORD,,")
    content[f"{stem}.dist-info/RECORD"] = "\n".join(record) + "\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, text in content.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), text)
    return f"{stem}-{tag}.whl", out.getvalue()


def sdist(
    name: str,
    version: str,
    requires: Iterable[str] = (),
    *,
    suffix: str = ".tar.gz",
    tag: str = "py3-none-any",
    build_requires: Iterable[str] = (),
    needs: str = "pass",
    extra_files: Iterable[str] = (),
    metadata_version: str = "2.1",
    member: tuple[str, str] | None = None,
) -> tuple[str, bytes]:
    """Return (file name, bytes) of an sdist that builds with a backend of its own.

    `tag` is that of the wheel it becomes; `needs` is a statement that its build runs; `member` is
    a file that the build adds, its content in hexadecimal.
    """
    described = metadata(name, version, requires).replace(
        "Version: 2.1", f"Version: {metadata_version}", 1
    )
    backend = BACKEND.format(
        name=name,
        version=version,
        tag=tag,
        metadata=described,
        body="built = True\n",
        needs=needs,
        member=member or (),
    )
    declared = ", ".join(f'"{line}"' for line in build_requires)
    content = {
        "PKG-INFO": described,
        "pyproject.toml": f"[build-system]\nrequires = [{declared}]\n"
        'build-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend,
        **dict.fromkeys(extra_files, "int main() {}\n"),
    }
    stem = f"{name}-{version}"
    out = io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(out, "w") as archive:
            for member, text in content.items():
                archive.writestr(zipfile.ZipInfo(f"{stem}/{member}", (2020, 1, 1, 0, 0, 0)), text)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            for member, text in content.items():
                info = tarfile.TarInfo(f"{stem}/{member}")
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
    return stem + suffix, out.getvalue()
