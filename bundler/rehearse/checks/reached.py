"""Which source files of the tree the notebook's command can load, by their imports."""

import ast
import itertools
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from bundler.rehearse.checks import tree

RUNNER = "inference/"  # what runs where the user names no command: it imports nothing else
# Calls that load a module by a name that is made up while the program runs.
BY_TEXT = ("import_module", "__import__", "exec", "run_path", "run_module", "instantiate")


def reached(texts: Mapping[str, str], command: str | None) -> Mapping[str, str]:
    """Return the files that the command can load: its script, what that imports, and no other.

    Files that are not Python stay, since anything may read them; all stay where the script is not
    found, or where something reached imports by names that are made up while it runs.
    """
    running = {name: text for name, text in texts.items() if tree.runs(name)}
    if command is None:
        return {name: text for name, text in running.items() if name.startswith(RUNNER)}
    waiting, seen = _scripts(running, command), dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen[name] = running[name]
            imported = _imports(name, running[name])
            if imported is None:
                return running
            waiting += [file for module in imported for file in _files(module, running)]
    if not seen:
        return running
    return {name: text for name, text in running.items() if name in seen or name[-3:] != ".py"}


def _scripts(texts: Mapping[str, str], command: str) -> list[str]:
    """Return the files that a command line names, as paths or after -m."""
    words = shlex.split(command)
    named = [word.removeprefix("./") for word in words if word.endswith(".py")]
    modules = [after for word, after in itertools.pairwise(words) if word == "-m"]
    files = [file for module in modules for file in _files(module, texts)]
    files += [f"{module.replace('.', '/')}/__main__.py" for module in modules]
    return [name for name in (*named, *files) if name in texts]


def _imports(name: str, text: str) -> list[str] | None:
    """Return the modules that a file may import, from anywhere in it; None where it hides them."""
    try:
        parsed = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    package = PurePosixPath(name).parent.parts
    modules: list[str] = []
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            modules += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif _imports_by_text(node):
            return None
    # Beside a script lie modules that it imports by their bare names.
    return [*modules, *(".".join((*package, module)) for module in modules if package)]


def _imports_by_text(node: ast.AST) -> bool:
    """Say whether a node is a call that loads a module by its name as text."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    called = node.func.id if isinstance(node.func, ast.Name) else called
    return called in BY_TEXT


def _files(module: str, texts: Mapping[str, str]) -> Iterator[str]:
    """Yield the files of the tree that importing a module loads, its packages' first."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        path = "/".join(parts[:length])
        # A repository may keep its packages in src.
        for name in (f"{path}.py", f"{path}/__init__.py"):
            yield from (file for file in (name, f"src/{name}") if file in texts)
