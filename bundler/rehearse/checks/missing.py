"""What a run asked for and did not find: a column, a variable, a file, a folder, a package."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

INPUT = "/kaggle/input/"
GATEWAY = "kaggle_evaluation"  # the package of competitions whose rows a gateway hands over
SHOWN = 12  # names that a message lists

FILE = re.compile(r"No such file or directory: '(?P<path>[^'\n]+)'")
MODULE = re.compile(r"No module named '(?P<module>[\w.]+)'")
# What `inference.launch` says of a missing package knows the image from inside.
PACKAGE = re.compile(r"^The module \S+ is (?:missing|neither)\b.*$", re.MULTILINE)
PIN = re.compile(r"^  (?P<name>[\w.-]+)$", re.MULTILINE)
# `os.environ["X"]` fails inside of the module os; a dictionary's own KeyError has no such frame.
VARIABLE = re.compile(
    r'File "(?:<frozen os>|[^"\n]*/os\.py)", line \d+, in __getitem__'
    r"(?:\n(?!KeyError).*)*\nKeyError: '(?P<name>[^'\n]+)'"
)
KEY = re.compile(r"^KeyError: (?P<key>.+)$", re.MULTILINE)
# pandas, for several columns at once; polars, for one.
COLUMNS = re.compile(
    r"columns expected but not found: \[(?P<pandas>[^\]\n]+)\]"
    r"|ColumnNotFoundError: (?:unable to find column )?\"?(?P<polars>[^\";\n]+)"
)
DTYPE = re.compile(r"dtype='\w+'")  # of the index that pandas shows in its message
QUOTED = re.compile(r"'([^'\n]+)'")
ATTRIBUTE = re.compile(
    r"module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'"
    r"|cannot import name '(?P<imported>\w+)' from '(?P<source>[\w.]+)'"
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a run found: what is named in an error and not among it, was missing."""

    working: str = ""  # the size of /kaggle/working, for people
    tree: Collection[str] = ()  # files of the code bundle
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)  # test table → its columns
    files: Collection[str] = ()  # names in the competition's folder
    mounts: Collection[str] = ()  # where datasets and competition lie, below /kaggle/input


def explain(error: str, surroundings: Surroundings) -> str | None:
    """Return in one line what the last error of a run was for want of, or None."""
    finders = (_other_case, _variable, _column, _file, _gateway, _package, _version)
    return next((cause for find in finders if (cause := find(error, surroundings))), None)


def _variable(error: str, surroundings: Surroundings) -> str | None:
    if not (match := VARIABLE.search(error)):
        return None
    return (
        f"The environment variable {match['name']} is not set in the notebook: those of the laptop "
        "do not travel. Set it in the code, or by the command: "
        f'run = "env {match["name"]}=… python …".'
    )


def _column(error: str, surroundings: Surroundings) -> str | None:
    """Name what is no column of any test table; a key of another kind is none of them either."""
    if not surroundings.columns:
        return None
    names: list[str] = []
    if match := COLUMNS.search(error):
        names = QUOTED.findall(match["pandas"]) if match["pandas"] else [match["polars"].strip()]
    elif keys := KEY.findall(error):
        names = QUOTED.findall(DTYPE.sub("", keys[-1]))
    known = {name for columns in surroundings.columns.values() for name in columns}
    if not names or known.issuperset(names):
        return None
    lacking = ", ".join(name for name in names if name not in known)
    table, columns = next(iter(surroundings.columns.items()))
    return (
        f"{lacking} is no column of {table}, which has {_listed(columns)}: the hidden test has "
        "neither labels nor what only the training table holds."
    )


def _file(error: str, surroundings: Surroundings) -> str | None:
    """Explain a path that leads nowhere: no such mount, or looked up in the wrong folder."""
    match = next(iter(FILE.finditer(error)), None)
    if match is None:
        return None
    path = match["path"]
    if path.startswith(INPUT):
        if any(_is_below(path, mount) for mount in surroundings.mounts):
            return None
        return (
            f"{path} is in no dataset of the notebook: it has {_listed(surroundings.mounts)}. "
            "Kaggle has two layouts; take folders from $RSNA_BUNDLE_COMPETITION and "
            "$RSNA_BUNDLE_MODEL, which hold in both."
        )
    relative = path.removeprefix("/kaggle/working/").removeprefix("./")
    if not relative.startswith("/") and relative in surroundings.tree:
        return (
            f"{path} is looked for in /kaggle/working, where the command runs; it lies in the code "
            f'bundle. Open it by Path(__file__).parent, or os.environ["RSNA_BUNDLE_CODE"] + '
            f'"/{relative}".'
        )
    return None


def _gateway(error: str, surroundings: Surroundings) -> str | None:
    """Explain a gateway's package that was not found: no index of packages has it."""
    if not any(match["module"].partition(".")[0] == GATEWAY for match in MODULE.finditer(error)):
        return None
    if GATEWAY in surroundings.files:
        return (
            f"{GATEWAY} lies among the competition's files, which Python does not search. Before "
            'you import it: sys.path.append(os.environ["RSNA_BUNDLE_COMPETITION"]).'
        )
    return (
        f"{GATEWAY} comes with a competition's files, and the folder of the rehearsal has none. "
        "Download the competition's files again, all of them, and name their folder by "
        "--competition-dir."
    )


def _package(error: str, surroundings: Surroundings) -> str | None:
    if not (match := PACKAGE.search(error)):
        return None
    name = PIN.match(error, match.end() + 1)
    return match[0] + (f" {name['name']}" if name else "")


def _version(error: str, surroundings: Surroundings) -> str | None:
    """Explain a name that another version of a package has."""
    matches = list(ATTRIBUTE.finditer(error))
    if not matches:
        return None
    match = matches[-1]
    module, name = match["module"] or match["source"], match["name"] or match["imported"]
    top = module.partition(".")[0]
    if any(PurePosixPath(file).parts[0] in (top, f"{top}.py") for file in surroundings.tree):
        return None  # a module of the user's own has no other version
    return (
        f"{module} has no {name} in the version that the notebook has: the laptop's differs. "
        f"Compare `rsna-bundle target show` with `pip show {top}`, and adapt the code, or pin the "
        "version in wheelhouse.txt."
    )


def _other_case(error: str, surroundings: Surroundings) -> str | None:
    """Find a file that is missing under one name and exists under the same in other case."""
    by_lower = dict(_lowered([*surroundings.tree, *surroundings.files]))
    wanted = [match["path"] for match in FILE.finditer(error)]
    wanted += [match["module"].replace(".", "/") for match in MODULE.finditer(error)]
    for path in wanted:
        name = PurePosixPath(path).name
        real = by_lower.get(name.lower())
        if real and real != name:
            return (
                f"{path} does not exist, {real} does: on Kaggle upper and lower case differ, as "
                "they need not on a laptop. Write the name as the file has it."
            )
    return None


def _lowered(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        for part in PurePosixPath(name).parts:
            yield part.lower(), part
            yield Path(part).stem.lower(), Path(part).stem


def _is_below(path: str, mount: str) -> bool:
    return PurePosixPath(path).is_relative_to(mount)


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") or "nothing"
