"""Reading wheels and locks: what is in them, and what is wrong with them."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler import bundle
from bundler.errors import InputError
from bundler.libs import lock_changes, locks, wheels
from bundler.libs.locks import Lock, Provided
from bundler.libs.resolve.resolution import Pin
from inference.boot.manifest import Member
from tests.bundler.libs.packages import wheel


def written(folder: Path, file: tuple[str, bytes], name: str | None = None) -> Path:
    path = folder / (name or file[0])
    path.write_bytes(file[1])
    return path


def test_metadata_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, wheel("Some_Thing", "1.0", ["numpy>=2", 'x; extra == "e"']))

    found = wheels.read(path)

    assert (found.name, found.version) == ("some-thing", "1.0")
    assert [str(need) for need in found.requires] == ["numpy>=2", 'x; extra == "e"']
    assert found.modules == ("Some_Thing",)


def test_folded_fields_and_descriptions_are_told_apart() -> None:
    # A whole licence in a field has lines of blanks and form feeds: neither ends the fields.
    folded = "License: one\n        two\n        \n        \x0cthree\r\n"
    text = f"Name: x\n{folded}Requires-Dist: a\nRequires-Dist: b\n\nName: y\n"

    found = wheels.parse(Path("x.whl"), "x", "1", text)

    assert found.headers == {
        "name": ["x"],
        "license": ["one\ntwo\n\nthree"],
        "requires-dist": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("members", "modules"),
    [
        (["six.py"], ("six",)),
        (["a/__init__.py", "a/b/__init__.py", "a/c.py", "tests/__init__.py"], ("a",)),
        (["google/auth/__init__.py", "google/auth/x.py"], ("google.auth",)),
        (["_cffi.abi3.so", "_pkg/__init__.py"], ("_cffi", "_pkg")),
        (["cv2/__init__.py", "cv2.cpython-313-x86_64-linux-gnu.so"], ("cv2",)),
        (["x-1.data/purelib/p/__init__.py", "x-1.data/scripts/run.py"], ("p",)),
        (["nvidia/cublas/lib/libcublas.so.12", "x/data.json"], ()),
    ],
)
def test_what_can_be_imported(members: list[str], modules: tuple[str, ...]) -> None:
    listed = [Member(name=name, sha256="0" * 64) for name in members]
    assert wheels.parse(Path("x.whl"), "x", "1", "", listed).modules == modules


def test_record_tells_what_hashing_every_member_would(tmp_path: Path) -> None:
    plain = written(tmp_path, wheel("plain", "1.0", files={"plain/b.py": "b = 1\n"}))
    partly = written(tmp_path, wheel("partly", "1.0", without_digest="partly/__init__.py"))

    for path in (plain, partly):
        assert wheels.read(path).members == bundle.describe(path.name, path).members


def test_wheels_that_disagree_with_themselves_are_refused(tmp_path: Path) -> None:
    good = wheel("odd", "1.0")
    cases = {
        "does not list": wheel("odd", "1.0", record_lacks="odd/__init__.py"),
        "metadata names 'other 1.0'": wheel("odd", "1.0", metadata_name="other"),
        "cannot be read as a wheel": ("odd-1.0-py3-none-any.whl", good[1][:100]),
        "metadata is in odd-1.0.dist-info": ("even-1.0-py3-none-any.whl", good[1]),
        "metadata names 'odd 1.0'": ("odd-2.0-py3-none-any.whl", good[1]),
        "unsafe file name": wheel("odd", "1.0", files={"../odd.py": "a = 1\n"}),
        "0 .dist-info folders": ("odd-1.0-py3-none-any.whl", b"PK\5\6" + bytes(18)),
    }
    for said, file in cases.items():
        with pytest.raises(InputError) as caught:
            wheels.read(written(tmp_path, file))
        assert said in str(caught.value)


def test_member_that_record_lists_must_be_there(tmp_path: Path) -> None:
    path = written(tmp_path, wheel("odd", "1.0", files={"odd/gone.py": "a = 1\n"}))
    with zipfile.ZipFile(path) as source:
        kept = {name: source.read(name) for name in source.namelist() if name != "odd/gone.py"}
    with zipfile.ZipFile(path, "w") as target:
        for name, content in kept.items():
            target.writestr(name, content)

    with pytest.raises(InputError, match=r"lacks odd/gone\.py of its RECORD"):
        wheels.read(path)


@given(content=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "odd-1.0-py3-none-any.whl"
    path.write_bytes(content)
    with pytest.raises(InputError):
        wheels.read(path)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SHA = "0" * 64
WHEEL = "some_thing-1.0-py3-none-any.whl"


def some_lock(**changes: Any) -> Lock:
    """Return a lock of one wheel that was built from an sdist."""
    pin = Pin(
        name="some-thing",
        version="1.0",
        file=WHEEL,
        sha256=SHA,
        bytes=3,
        built_from=f"some_thing-1.0.tar.gz {SHA}",
    )
    lock = Lock(
        target="image",
        target_digest="d",
        python="3.13.1",
        inputs="i",
        resolver="uv",
        pins=(pin,),
        build=(pin,),
        provided=(Provided(name="numpy", version="2"),),
    )
    return replace(lock, **changes)


@given(note=st.lists(TEXT, max_size=3), via=st.lists(TEXT, max_size=3), name=TEXT)
def test_lock_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, note: list[str], via: list[str], name: str
) -> None:
    provided = (Provided(name=name, version="2", via=tuple(via)),)
    lock = some_lock(target=name, provided=provided, notes=tuple(note))
    lock = replace(lock, pins=(replace(lock.pins[0], via=tuple(via)),))
    path = tmp_path_factory.mktemp("lock") / "wheelhouse.lock"
    path.write_text(lock.text(), encoding="utf-8", newline="")

    assert locks.read(path) == lock


@pytest.mark.parametrize(
    "text", ["a = [\n}", "format = 2", "format = 1", "format = 1\npackage = 3"]
)
def test_broken_lock_says_how_to_mend_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "wheelhouse.lock").write_text(text)

    with pytest.raises(InputError, match=r"line [12].*Restore it from git"):
        locks.read(tmp_path / "wheelhouse.lock")


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        (f'file = "{WHEEL}"', 'file = "/etc/passwd"', 13, "not a file of some-thing 1.0"),
        (f'file = "{WHEEL}"', f'file = "../{WHEEL}"', 13, "not a file of some-thing 1.0"),
        (f'file = "{WHEEL}"', f'file = "x/{WHEEL}"', 13, "not a file of some-thing 1.0"),
        (f'file = "{WHEEL}"', 'file = "other-1.0-py3-none-any.whl"', 13, "not a file of"),
        (f'file = "{WHEEL}"', 'file = "some_thing-2.0-py3-none-any.whl"', 13, "not a file of"),
        (f'file = "{WHEEL}"', "file = 3", 13, "file is 3, not a string"),
        (f'file = "{WHEEL}"', "", 10, "file is missing"),
        ('name = "some-thing"', 'name = "../some-thing"', 11, "not the normal name"),
        ('version = "1.0"', 'version = "1.0/.."', 13, "not a file of"),
        (f'sha256 = "{SHA}"', 'sha256 = "../../x"', 14, "not a digest"),
        ("bytes = 3", "bytes = -3", 15, "bytes is -3, not a number"),
        ("bytes = 3", "bytes = true", 15, "bytes is True, not a number"),
        ("some_thing-1.0.tar.gz", "../some_thing-1.0.tar.gz", 16, "not an sdist and its sha256"),
        ("bytes = 3", "bytes = 3\norigin = 3", 16, "origin is 3, not a string"),
        ("bytes = 3", 'bytes = 3\ncommit = "--upload-pack=x"', 16, "not a commit's 40 digits"),
        ('python = "3.13.1"', "python = 3.13", 5, "python is 3.13, not a string"),
    ],
)
def test_lock_is_data_and_not_trusted(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    path = tmp_path / "wheelhouse.lock"
    text = some_lock().text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    with pytest.raises(InputError) as caught:
        locks.read(path)

    assert f"line {line}: " in str(caught.value)
    assert reason in str(caught.value)


def test_wrong_entry_is_found_among_many(tmp_path: Path) -> None:
    path = tmp_path / "wheelhouse.lock"
    text = some_lock().text()
    head, _, build = text.rpartition("bytes = 3")
    path.write_text(f"{head}bytes = []{build}")  # of the second table, `build`

    line = path.read_text().splitlines().index("bytes = []") + 1
    with pytest.raises(InputError, match=rf"line {line}: bytes is \[\]"):
        locks.read(path)


def test_package_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wheelhouse.lock"
    text = some_lock().text()
    start = text.index("[[package]]")
    package = text[start : text.index("[[build]]")]
    path.write_text(text[:start] + package + text[start:])

    with pytest.raises(InputError, match=r"line \d+: some-thing is there twice"):
        locks.read(path)


def test_file_whose_digest_record_gets_wrong_is_refused(tmp_path: Path) -> None:
    name, content = wheel("odd", "1.0", files={"odd/data.py": "x = 1\n"})
    path = written(tmp_path, (name, content))
    wheels.check_contents(wheels.read(path))
    altered = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(altered, "w") as target:
        for info in source.infolist():
            text = source.read(info)
            target.writestr(info, b"x = 2\n" if info.filename == "odd/data.py" else text)
    path.write_bytes(altered.getvalue())

    with pytest.raises(InputError, match=r"its file odd/data\.py is not the one that its RECORD"):
        wheels.check_contents(wheels.read(path))


@pytest.mark.parametrize("member", ["METADATA", "RECORD"])
def test_bomb_is_refused(tmp_path: Path, member: str) -> None:
    name, content = wheel("bomb", "1.0")
    path = tmp_path / name
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for info in source.infolist():
            if info.filename.endswith(f"/{member}"):
                with target.open(info.filename, "w", force_zip64=True) as stream:
                    for _ in range(80):
                        stream.write(b"\n" * (1 << 20))
            else:
                target.writestr(info, source.read(info))
    assert path.stat().st_size < 1 << 20

    with pytest.raises(InputError, match=rf"its {member} is larger than"):
        wheels.read(path)


def test_changes_are_listed_target_first() -> None:
    def lock(python: str, **versions: str) -> Lock:
        pins = tuple(
            Pin(name=name, version=version, file=f"{name}-{version}.whl", sha256=version)
            for name, version in versions.items()
        )
        provided = (Provided(name="gone", version="5"),)
        return Lock(
            target="image",
            target_digest=python,
            python=python,
            inputs="",
            resolver="uv",
            pins=pins,
            provided=provided,
        )

    old = lock("3.12.1", same="1", moved="1", gone="1")
    new = lock("3.13.1", same="1", moved="2", new="1")

    assert lock_changes.changes(None, new) == []
    assert lock_changes.changes(old, old) == []
    first, *rest = lock_changes.changes(old, new)
    assert "Python 3.12.1 → 3.13.1" in first
    assert rest == ["- gone 1: the image has 5", "moved 1 → 2", "+ new 1"]
