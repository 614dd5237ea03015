"""What a gateway hands to `predict` in a call, and which data it takes; by its syntax."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from bundler.competition.gateway import declarations

INPUT = "/kaggle/input/"
DATA_PATHS = "data_paths"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one call is about."""

    arguments: tuple[str, ...]  # by the host's own names; () where only a run can tell
    rows_of: str | None  # the argument whose rows the answer has; "": a single row, None: unknown


def read(gateway: ast.ClassDef) -> Batch | None:
    """Return what a call is about; None where the gateway yields no batches, as in a game."""
    pair = next(declarations.batches(gateway), None)
    if pair is None:
        return None
    data, ids = pair
    elements = data.elts if isinstance(data, ast.Tuple) else []
    names = [item.id if isinstance(item, ast.Name) else "" for item in elements]
    # What is no name in the host's code, or stands there twice, gets a number.
    arguments = tuple(
        name if names.count(name) == 1 and name else f"data_{number}"
        for number, name in enumerate(names, 1)
    )
    return Batch(arguments=arguments, rows_of=_rows_of(ids, arguments, _loops(gateway)))


def _loops(gateway: ast.ClassDef) -> frozenset[str]:
    """Return the names that loops give one value at a time: `for walk_id in …`."""
    loops = (node for node in ast.walk(gateway) if isinstance(node, ast.For))
    return frozenset(loop.target.id for loop in loops if isinstance(loop.target, ast.Name))


def _rows_of(ids: ast.expr, arguments: tuple[str, ...], loops: frozenset[str]) -> str | None:
    match ids:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="select")):
            return name if name in arguments else None
        case ast.Subscript(value=ast.Name(id=name)):
            return name if name in arguments else None
        case ast.Call(func=function, args=args, keywords=keywords):
            columns = [*args, *(keyword.value for keyword in keywords)]
            table = declarations.tail(function) in ("DataFrame", "Series")
            return "" if table and any(map(_is_single, columns)) else None
        case ast.Name(id=name):
            return "" if name in loops else None
    return None


def _is_single(node: ast.expr) -> bool:
    """Say whether an expression writes out columns of one value each."""
    values = node.values if isinstance(node, ast.Dict) else [node]
    return bool(values) and all(
        isinstance(value, ast.List) and len(value.elts) == 1 for value in values
    )


def data_paths(gateway: ast.ClassDef) -> tuple[str, ...]:
    """Return what `data_paths` must hold, in its order, as paths below the competition's folder.

    A gateway takes each of them either from `data_paths` or from where Kaggle mounts it; () where
    that is not written out.
    """
    method = declarations.method(gateway, "unpack_data_paths")
    taken: dict[int, str] = {}  # position in `data_paths` → attribute of the gateway
    mounted: dict[str, str] = {}  # attribute → path where Kaggle mounts it
    for node in ast.walk(method) if method else ():
        if isinstance(node, ast.Assign):
            taken |= dict(_positions(node))
            paths = [text for text in declarations.texts(node.value) if text.startswith(INPUT)]
            if len(paths) == 1:
                mounted[declarations.tail(node.targets[0])] = paths[0]
    found = [below(mounted.get(taken[number], "")) for number in sorted(taken)]
    whole = sorted(taken) == list(range(len(taken)))
    return tuple(found) if whole and all(found) else ()


def _positions(node: ast.Assign) -> Iterator[tuple[int, str]]:
    """Yield which of the `data_paths` an assignment takes, and the attribute that gets it."""
    target = node.targets[0]
    if isinstance(target, ast.Tuple):  # self.test, self.images = self.data_paths
        parts = (part for part in ast.walk(node.value) if isinstance(part, ast.Attribute))
        if any(part.attr == DATA_PATHS for part in parts):
            yield from enumerate(map(declarations.tail, target.elts))
        return
    for part in ast.walk(node.value):  # self.test = self.data_paths[0]
        match part:
            case ast.Subscript(value=value, slice=ast.Constant(value=int() as number)):
                if declarations.tail(value) == DATA_PATHS:
                    yield number, declarations.tail(target)


def below(path: str) -> str:
    """Return the part of a path below the competition's folder, wherever Kaggle mounts that."""
    inner = path.removeprefix(INPUT).removeprefix("competitions/").rstrip("/")
    return inner.partition("/")[2]
