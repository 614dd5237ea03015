"""Refuse what looks like a secret, before it is written or sent. Each function raises InputError.

A machine's own credentials are refused wherever they stand; what only looks like a secret may say
so on its line.
"""

import io
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from bundler.errors import InputError
from bundler.progress import SILENT, Progress
from bundler.secrets import values
from bundler.secrets.scan import ALLOWED, Scan, Source, scan
from inference.boot.bundle import SHIPPED_SUFFIX, Bundle
from inference.boot.install import WHEELS_ARCHIVE
from inference.boot.manifest import MANIFEST, Libs

SHOWN = 10
NOTABLE = 100 << 20  # bytes that take long enough for a bar
FROM_COMMIT = (
    "Take them out of the commit (`git rm --cached FILE`, and a line in .gitignore), and revoke "
    "what was ever pushed."
)
FROM_FILES = "Remove them, or name the files that the notebook needs one by one."
FROM_NOTEBOOK = (
    "Leave them out of the settings and options that the notebook is made of; let its code find "
    "them in its environment (Kaggle: Add-ons → Secrets)."
)
FROM_BUNDLE = "Take them out of what the bundle was built from, and build it again."
FROM_WHEELS = "Take them out of the packages, build those again, and run `rsna-bundle libs`."


def check_files(
    files: Mapping[str, bytes],
    where: str,
    remedy: str = FROM_COMMIT,
    progress: Progress = SILENT,
) -> None:
    """Check files that are in memory; `where` names all of them, as in "The notebook"."""
    sources = [_in_memory(path, content) for path, content in sorted(files.items())]
    _check(sources, where, remedy, progress)


def check_paths(
    files: Mapping[str, Path],
    where: str,
    remedy: str = FROM_FILES,
    progress: Progress = SILENT,
    *,
    public: Container[str] = (),
) -> None:
    """Check files on the disk, by the names that they get in the bundle.

    Those that are `public` are searched for this machine's credentials alone.
    """
    sources = [_on_disk(name, path, name not in public) for name, path in sorted(files.items())]
    _check(sources, where, remedy, progress)


def check_bundle(bundle: Bundle, progress: Progress = SILENT) -> None:
    """Check a bundle that is about to leave, its manifest too.

    The wheels of a libs bundle come from indexes or were checked when they were bundled; here they
    are searched for this machine's credentials alone, since packages ship keys with their tests.
    """
    is_libs = isinstance(bundle.manifest.part, Libs)
    files = {file.shipped: file.name for file in bundle.files} | {MANIFEST: MANIFEST}
    sources = [
        _on_disk(name, bundle.folder / shipped, not (is_libs and _is_package(name)))
        for shipped, name in sorted(files.items())
    ]
    _check(sources, f"The {bundle.kind} bundle in {bundle.folder}", FROM_BUNDLE, progress)


def _is_package(name: str) -> bool:
    known = (".whl", ".tar.gz", ".zip", WHEELS_ARCHIVE)
    return name.removesuffix(SHIPPED_SUFFIX).endswith(known)


def _in_memory(path: str, content: bytes) -> Source:
    return Source(path=path, size=len(content), open=lambda: io.BytesIO(content))


def _on_disk(name: str, path: Path, by_rules: bool) -> Source:
    size = path.stat().st_size
    return Source(path=name, size=size, open=lambda: path.open("rb"), by_rules=by_rules)


def _check(sources: Iterable[Source], where: str, remedy: str, progress: Progress) -> None:
    listed = list(sources)
    credentials = values.load()
    for path in credentials.unread:
        progress.warn(f"{path} cannot be read, so its values are not looked for in the bundle.")
    total = sum(source.size for source in listed)
    try:
        if total < NOTABLE:
            result = scan(listed, credentials)
        else:
            with progress.bar("Looking for secrets", total) as advance:
                result = scan(listed, credentials, advance)
    except OSError as error:
        raise InputError(
            f"{where} cannot be searched for secrets: {error.filename or 'a file'}: "
            f"{error.strerror or error}. Make it readable, or leave it out."
        ) from error
    _refuse(result, where, remedy)
    for unread in result.unread:
        progress.warn(f"{unread}, so it was not searched for secrets.")


def _refuse(result: Scan, where: str, remedy: str) -> None:
    """Raise InputError where a search found something, or an archive that nobody can search."""
    refused = [one for one in result.unread if one.is_refused]
    if refused:
        listed = "".join(f"\n  {one}" for one in refused[:SHOWN])
        raise InputError(
            f"{where} holds what cannot be searched for secrets:{listed}\nUnpack it, or leave it "
            "out."
        )
    if not result.findings:
        return
    shown = "".join(f"\n  {finding}" for finding in result.findings[:SHOWN])
    rest = len(result.findings) - SHOWN
    more = f"\n  and {rest} more" if rest > 0 else ""
    raise InputError(
        f"{where} holds what looks like secrets, which the bundle would show to whoever sees the "
        f"dataset:{shown}{more}\n{remedy} A line that only looks like one may say so: "
        f'"{ALLOWED.decode()}".'
    )
