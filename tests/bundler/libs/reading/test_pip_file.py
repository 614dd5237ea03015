"""wheelhouse.txt: pip's syntax, and what is no requirement."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import BundlerError, InputError
from bundler.libs import requirements
from bundler.libs.index import sources
from bundler.libs.reading import pip_file


def read(folder: Path, text: str) -> requirements.Requirements:
    path = folder / "wheelhouse.txt"
    path.write_text(text)
    return pip_file.read(path)


def test_pips_syntax_is_read(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("-c limits.txt\nTQDM\n")
    (tmp_path / "limits.txt").write_text("numpy<3 # why\n")

    found = read(
        tmp_path,
        "# a list\n\nPyDicom[b,a] >=3 , <4 ; python_version >= '3.9'  # a comment\n"
        "-r more.txt\n--extra-index-url=https://one.example/simple\n-f wheels\n"
        "numpy==2.1.3 \\\n    --hash=sha256:" + "0" * 64 + "\n",
    )

    assert found.lines() == [
        "numpy==2.1.3",
        'pydicom[a,b]<4,>=3 ; python_version >= "3.9"',
        "tqdm",
        "-c numpy<3",
        f"numpy {'0' * 64}",
    ]
    assert found.sources.extra == ("https://one.example/simple",)
    assert found.sources.links == (str(tmp_path / "wheels"),)


def test_line_that_replaces_is_an_input(tmp_path: Path) -> None:
    plain, replacing = read(tmp_path, "numpy\n"), read(tmp_path, "NumPy  # replace\n")

    assert replacing.replaced == {"numpy"}
    assert plain.replaced == frozenset()
    assert plain.lines() != replacing.lines()


def test_order_and_comments_do_not_change_the_lines(tmp_path: Path) -> None:
    assert read(tmp_path, "a\nb # x\n").lines() == read(tmp_path, "# y\nB\n\na\n").lines()


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_a_list_may_ask_for_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).wanted == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("numpy\n\n\nnum py\n", "line 4: invalid requirement `num py`"),
        ("./folder/x.whl\n", "line 1: cannot use `./folder/x.whl`: "),
        ("-e .\n", "line 1: the name of the package at `.` is not known"),
        ("x @ svn+https://one.example/x\n", "git alone is supported"),
        ("git+https://one.example/x\n", "Write `NAME @ git+https://one.example/x`"),
        ("--pre\n", "unsupported option `--pre`"),
        ("x @ ftp://one.example/x.whl\n", "the scheme ftp is not supported"),
        ("x @ https://one.example/x.whl\nx @ https://one.example/y.whl\n", "line 2: x is required"),
        ("--trusted https://me:s3cr3t@one.example/\n", "`--trusted https://one.example/`"),
        ("-r missing.txt\n", "missing.txt: No such file"),
        ("-r wheelhouse.txt\n", "includes itself"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "wheelhouse.txt").write_bytes(text.encode("utf-8", errors="surrogatepass"))
    try:
        wanted = pip_file.read(folder / "wheelhouse.txt").wanted
    except BundlerError:
        return
    lines = "".join(f"{requirements.write(need)}\n" for need in wanted)
    (folder / "again.txt").write_text(lines, encoding="utf-8")
    again = pip_file.read(folder / "again.txt").wanted
    assert list(map(requirements.write, again)) == list(map(requirements.write, wanted))


def test_pips_and_uvs_settings_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://one.example/simple\nextra-index-url =\n"
        "    https://two.example/simple\n    https://three.example/simple\ncert = /certs.pem\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")

    found = sources.configured(sources.Sources())

    assert found.indexes == (
        "https://two.example/simple",
        "https://three.example/simple",
        "https://one.example/simple",
    )
    assert found.links == ("/wheels",)
    assert sources.pip_connection()["PIP_CERT"] == "/certs.pem"
    asked = sources.configured(sources.Sources(index="https://own.example/simple/"))
    assert asked.indexes[-1] == "https://own.example/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert sources.configured(sources.Sources()).indexes[-1] == "https://uv.example/simple"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert sources.configured(sources.Sources()).index == ""
