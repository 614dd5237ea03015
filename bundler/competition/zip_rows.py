"""Submissions that are archives: of one table, or of a file for each row."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundler.competition.table import SUFFIXES
from bundler.errors import InputError

FILE = "file"  # the column that stands for a row's file
JUNK = "__MACOSX"  # which a Mac puts beside what was meant


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file of an archive; its name without folder and suffix is the id of a row."""

    name: str
    bytes: int
    crc: int

    @property
    def id(self) -> str:
        """Return the id of the row."""
        return PurePosixPath(self.name).stem

    @property
    def content(self) -> str:
        """Return what tells one content from another, for people."""
        return f"{self.bytes} bytes, CRC {self.crc:08x}"

    def renamed(self, identity: str) -> str:
        """Return the name that the file of another row has."""
        path = PurePosixPath(self.name)
        return str(path.with_name(identity + path.suffix))


def members(path: Path) -> list[Member]:
    """Return the files of an archive, each of which was read whole. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise InputError(f"{path.name}: its member {broken} is damaged.")
            return [
                Member(name=info.filename, bytes=info.file_size, crc=info.CRC)
                for info in archive.infolist()
                if not info.is_dir() and not info.filename.startswith(JUNK)
            ]
    except zipfile.BadZipFile as error:
        raise InputError(f"{path.name} is no zip archive: {error}.") from error


def table_name(files: Sequence[Member]) -> str:
    """Return the name of the one table that an archive holds, and nothing else; "" for none."""
    alone = files[0].name if len(files) == 1 else ""
    return alone if alone.endswith(SUFFIXES) else ""


def extract(path: Path, name: str, folder: Path) -> Path:
    """Write one file of an archive into a folder, under its own name; return its path."""
    target = folder / PurePosixPath(name).name
    with zipfile.ZipFile(path) as archive:
        target.write_bytes(archive.read(name))
    return target


def write_table(path: Path, source: Path, name: str) -> None:
    """Write an archive of one table."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), source.read_bytes())  # no time: equal bytes


def write_files(path: Path, ids: Sequence[str], like: Path, first: Member) -> None:
    """Write an archive with a file for each id, each with the content of one in `like`."""
    with zipfile.ZipFile(like) as archive:
        content = archive.read(first.name)
    with zipfile.ZipFile(path, "w") as archive:
        for identity in ids:
            archive.writestr(zipfile.ZipInfo(first.renamed(identity)), content)
