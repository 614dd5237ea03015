"""The constants of a module, by its syntax: nothing of a competition runs in this process."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

MOST = 10_000  # items of a list that is computed: more is no list of ports
OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
Value = str | float | list["Value"]


class UnknownError(ValueError):
    """The value of an expression is not known without running it."""


def of(tree: ast.Module) -> dict[str, Value]:
    """Return the constants that a module assigns at its top: numbers, text, and lists of them."""
    known: dict[str, Value] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name):
            known.pop(target.id, None)
            try:
                known[target.id] = evaluate(value, known)
            except UnknownError:
                continue
    return known


def evaluate(node: ast.expr, known: Mapping[str, Value]) -> Value:
    """Return what an expression is worth. Raises UnknownError."""
    try:
        return _evaluate(node, known)
    except (TypeError, ZeroDivisionError, OverflowError, RecursionError) as error:
        raise UnknownError(str(error)) from error


def _evaluate(node: ast.expr, known: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=str() | int() | float() as value):
            return value
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            values: list[Value] = [_evaluate(left, known), _evaluate(right, known)]
            # A list times a number could be as long as memory is.
            if isinstance(op, ast.Mult) and not all(isinstance(v, int | float) for v in values):
                raise UnknownError("a product of other things than numbers")
            return _checked(OPERATORS[type(op)](*values))
        case ast.Call(func=ast.Name(id="int" | "float" as name), args=[argument]):
            number = _evaluate(argument, known)
            if isinstance(number, int | float):
                return int(number) if name == "int" else float(number)
        case ast.Call(func=ast.Name(id="range"), args=arguments, keywords=[]):
            return _range([_evaluate(argument, known) for argument in arguments])
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_evaluate(item, known) for item in items]
        case ast.ListComp(
            elt=item,
            generators=[ast.comprehension(target=ast.Name(id=name), iter=source, ifs=[])],
        ):
            values_of = _evaluate(source, known)
            if isinstance(values_of, list):
                return [_evaluate(item, {**known, name: value}) for value in values_of]
    raise UnknownError(ast.unparse(node))


def _checked(value: Any) -> Value:
    if not isinstance(value, str | int | float | list):
        raise UnknownError(f"a {type(value).__name__}")
    return value


def _range(arguments: list[Value]) -> list[Value]:
    numbers = [argument for argument in arguments if isinstance(argument, int)]
    if len(numbers) != len(arguments) or not 1 <= len(numbers) <= 3 or 0 in numbers[2:]:
        raise UnknownError("a range of other things than numbers")
    values = range(*numbers)
    if len(values) > MOST:
        raise UnknownError(f"a range of {len(values)} numbers")
    return list(values)
