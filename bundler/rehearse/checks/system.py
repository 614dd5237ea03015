"""Which programs and libraries of this machine a run used that the notebook's image may lack.

Python's packages are those of the emulated image; what lies in /usr is this machine's.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bundler.competition.check import Check
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.sandbox import system

SHOWN = 12  # of each kind that a message names
# What every Debian or Ubuntu has ("Essential: yes"), and so the notebook's image, too.
COMMANDS = (
    "Essential: yes"
    "awk basename bash cat chmod chown cmp cp cut date dd df diff dirname du echo egrep env expr "
    "false fgrep find getconf getopt grep groups gunzip gzip head hostname id kill ldconfig ln ls "
    "md5sum mkdir mkfifo mktemp more mount mv nice nohup nproc od paste pgrep pidof printenv "
    "printf ps pwd readlink realpath rm rmdir sed seq setsid sh dash sha256sum sleep sort split "
    "stat stty sync tac tail tar tee test timeout touch tr true tty uname uniq wc which whoami "
    "xargs yes zcat ["
)
# pip asks it for the system's name, and does without where there is none.
ESSENTIAL = frozenset([*COMMANDS.split(), "lsb_release"])
# The C library's and the compiler's, on which wheels may count (PEP 600), and what the image's own
# Python brings for its standard library.
STANDARD = re.compile(
    r"/(ld-linux|lib(c|m|dl|rt|util|pthread|resolv|anl|nsl|mvec|nss_\w+|crypt|gcc_s|stdc\+\+|atomic"
    r"|z|bz2|lzma|ffi|ssl|crypto|sqlite3|expat|uuid|tinfow?|ncursesw?|panelw?|readline|gdbm|mpdec"
    r"|tirpc|db|selinux|pcre2-8|acl|attr|cap)(?![A-Za-z_]))[-.\w]*\.so[.\d]*$"
)
PYTHON = re.compile(r"/(bin/python[\d.]*|lib/libpython[\d.]*\w*\.so[.\d]*|lib/python[\d.]+/.*)$")


def check(run: NotebookRun) -> Check:
    """Return what a run used of this machine and the notebook's image may not have."""
    programs = None if run.programs is None else list(_foreign_programs(run.programs))
    libraries = list(_foreign_libraries(run.libraries))
    lines = [
        *_list("program", programs or ()),
        *_list("library", libraries),
    ]
    if programs is None:
        unknown = "Which programs it executed is not known: this kernel cannot tell."
        return Check(name="system", status="unproven", message="\n".join([*lines, unknown]))
    if not lines:
        message = "no program and no library of this machine that the image may lack"
        return Check(name="system", status="passed", message=message)
    message = (
        "Of this machine, not of the image, which may lack them or have others:\n"
        + "\n".join(lines)
        + "\nLook for them in a notebook, or bring them in a wheel."
    )
    return Check(name="system", status="unproven", message=message)


def _foreign_programs(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if _of_system(path) and not PYTHON.search(path) and Path(path).name not in ESSENTIAL:
            yield path


def _foreign_libraries(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        shared = ".so" in Path(path).name
        if shared and _of_system(path) and not PYTHON.search(path) and not STANDARD.search(path):
            yield path


def _of_system(path: str) -> bool:
    return path.startswith(tuple(f"{folder}/" for folder in system.SYSTEM))


def _list(kind: str, paths: Iterable[str]) -> Iterator[str]:
    paths = list(paths)
    for path in paths[:SHOWN]:
        yield f"  {kind} {path}"
    if len(paths) > SHOWN:
        yield f"  and {len(paths) - SHOWN} more"
