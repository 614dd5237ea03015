"""What a gateway's class declares: row ids, target, deadline, servers, output; by its syntax."""

import ast
import contextlib
from collections.abc import Iterator, Mapping

from bundler.competition.gateway import constants
from bundler.competition.gateway.constants import UnknownError, Value

SUBMISSION = "submission.parquet"


def row_ids(gateway: ast.ClassDef) -> tuple[str, ...]:
    """Return the columns of the row ids: as they are set, or as each batch yields them."""
    if names := tuple(settings(gateway, "row_id_column_name")):
        return names
    for _, ids in batches(gateway):
        if names := tuple(_columns(ids)):
            return names
    return ()


def batches(gateway: ast.ClassDef) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the data and the row ids of each batch that is written out as a pair.

    A name is replaced by what was assigned to it.
    """
    generate = method(gateway, "generate_data_batches")
    if generate is None:
        return
    assigned = {
        node.targets[0].id: node.value
        for node in ast.walk(generate)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(generate):
        match node:
            case ast.Yield(value=ast.Tuple(elts=[data, ids])):
                yield (
                    assigned.get(data.id, data) if isinstance(data, ast.Name) else data,
                    assigned.get(ids.id, ids) if isinstance(ids, ast.Name) else ids,
                )


def _columns(node: ast.expr) -> Iterator[str]:
    """Yield the columns of a table that an expression makes, or selects of another."""
    match node:
        case ast.Call(func=function, args=args, keywords=keywords):
            values = [*args, *(keyword.value for keyword in keywords)]
            if tail(function) in ("DataFrame", "Series", "select"):
                for value in values:
                    yield from _columns(value)
        case ast.Dict(keys=keys):
            yield from (text for key in keys if key and (text := _text(key)))
        case ast.Subscript(slice=inner):
            yield from _columns(inner)
        case ast.List(elts=items):
            yield from (text for item in items if (text := _text(item)))
        case ast.Constant(value=str() as text):
            yield text


def settings(gateway: ast.ClassDef, name: str) -> Iterator[str]:
    """Yield the text that an argument of a call, or an attribute of self, is set to."""
    for node in ast.walk(gateway):
        if isinstance(node, ast.keyword) and node.arg == name:
            value: ast.expr | None = node.value
        elif isinstance(node, ast.Assign) and tail(node.targets[0]) == name:
            value = node.value
        else:
            continue
        if value is not None and (text := _text(value)):
            yield text


def deadline(gateway: ast.ClassDef, known: Mapping[str, Value], default: float) -> float | None:
    """Return the seconds that each call but the first may take; None where only a run can tell."""
    for call in calls(gateway):
        if tail(call.func) == "set_response_timeout_seconds" and (call.args or call.keywords):
            argument = call.args[0] if call.args else call.keywords[0].value
            try:
                value = constants.evaluate(argument, known)
            except UnknownError:
                return None
            return float(value) if isinstance(value, int | float) else None
    return default


def servers(gateway: ast.ClassDef, known: Mapping[str, Value]) -> tuple[str, ...]:
    """Return the names of the servers that it calls; () for the usual single one."""
    values = {**known, **_defaults(gateway)}
    for node in ast.walk(gateway):
        if isinstance(node, ast.keyword) and node.arg in ("server_names", "server_ports"):
            try:
                names = constants.evaluate(_keys(node.value), values)
            except UnknownError:
                continue  # the other of the two may be written out
            if isinstance(names, list):
                return tuple(str(name) for name in names)
    return ()


def _defaults(gateway: ast.ClassDef) -> dict[str, Value]:
    """Return the default values of its constructor's arguments: Kaggle passes none."""
    node = method(gateway, "__init__")
    if node is None:
        return {}
    own, found = node.args, dict[str, Value]()
    pairs = [*zip(own.args[len(own.args) - len(own.defaults) :], own.defaults, strict=True)]
    pairs += [(a, d) for a, d in zip(own.kwonlyargs, own.kw_defaults, strict=True) if d]
    for argument, default in pairs:
        with contextlib.suppress(UnknownError):
            found[argument.arg] = constants.evaluate(default, {})
    return found


def _keys(node: ast.expr) -> ast.expr:
    """Return the keys of a dict that is written out as a list; anything else as it is."""
    if isinstance(node, ast.Dict) and all(node.keys):
        return ast.List(elts=[key for key in node.keys if key])
    return node


def submission(gateway: ast.ClassDef) -> str:
    """Return the file that it writes."""
    node = method(gateway, "write_submission")
    found = texts(node) if node else iter(())
    names = [text for text in found if text.startswith("submission.") and " " not in text]
    return names[0] if names else SUBMISSION


# --- syntax ---


def method(gateway: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """Return a method of a class itself; None where it has none of that name."""
    own = (node for node in gateway.body if isinstance(node, ast.FunctionDef))
    return next((node for node in own if node.name == name), None)


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls below a node."""
    return (child for child in ast.walk(node) if isinstance(child, ast.Call))


def texts(node: ast.AST) -> Iterator[str]:
    """Yield each text that is written out, also the parts of one with values in it."""
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def tail(node: ast.expr) -> str:
    """Return the last name of a dotted expression: Gateway of core.templates.Gateway."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
