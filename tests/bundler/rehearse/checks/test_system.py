"""What of this machine a run used: what the image may lack is named, what it has is not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bundler.competition.check import Check
from bundler.rehearse.checks import system

LIB = "/usr/lib/x86_64-linux-gnu"


def check(programs: tuple[str, ...] | None, *libraries: str) -> Check:
    run: Any = SimpleNamespace(programs=programs, libraries=libraries)
    return system.check(run)


def test_names_what_the_image_may_lack() -> None:
    checked = check(("/usr/bin/gcc", "/bin/sh", "/tmp/own"), f"{LIB}/libGL.so.1.7.0")
    assert checked.status == "unproven"
    assert "program /usr/bin/gcc" in checked.message
    assert f"library {LIB}/libGL.so.1.7.0" in checked.message
    assert "/bin/sh" not in checked.message
    assert "/tmp/own" not in checked.message


@pytest.mark.parametrize(
    "library",
    [
        f"{LIB}/libc.so.6",
        f"{LIB}/ld-linux-x86-64.so.2",
        f"{LIB}/libstdc++.so.6.0.30",
        f"{LIB}/libnss_files.so.2",
        f"{LIB}/libssl.so.3",
        "/usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
        "/usr/lib/libpython3.11.so.1.0",
        "/root/env/lib/python3.11/site-packages/numpy.libs/libgfortran.so.5",
    ],
)
def test_names_nothing_that_the_image_has(library: str) -> None:
    checked = check(("/usr/bin/python3.11", "/usr/bin/env"), library)
    assert checked.status == "passed", checked.message


def test_says_where_programs_are_not_known() -> None:
    assert "is not known" in check(None).message
    assert check(None).status == "unproven"


def test_a_long_list_is_cut() -> None:
    checked = check(tuple(f"/usr/bin/tool{number}" for number in range(100)))
    assert "and 88 more" in checked.message


def test_folders_are_those_that_the_sandbox_shows() -> None:
    assert Path("/usr").is_dir()
    assert check(("/usr/local/bin/nvcc",)).status == "unproven"
