"""A competition's kaggle_evaluation: what its gateway reads, calls and allows, by its syntax.

The package is the host's and differs from one competition to the next. It is parsed, never
imported: it is run in sandboxes alone.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundler.competition.gateway import batches, constants, declarations
from bundler.competition.gateway.batches import INPUT, Batch
from bundler.competition.gateway.constants import Value
from bundler.errors import InputError
from bundler.image import imports

NAME = "kaggle_evaluation"
GATEWAYS, SERVERS = ("Gateway", "GameGateway"), ("InferenceServer", "GameInferenceServer")
# What a rehearsal relies on: module → class or function → methods.
KNOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "core/relay.py": {"Client": ("send",), "define_server": ()},
    "core/base_gateway.py": {
        "BaseGateway": ("share_files", "write_submission", "write_result"),
        "GatewayRuntimeErrorType": (),
    },
    "core/templates.py": {"Gateway": (), "InferenceServer": ("serve", "run_local_gateway")},
}
HOST, DEFAULT = "inference_server", "default"  # a host name, and the server that has it alone
HOUR, STARTUP = 3600.0, 900.0  # what Kaggle's versions so far have where a host sets nothing


@dataclass(frozen=True, kw_only=True)
class ClassName:
    """A class and the module it is imported from."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A competition's kaggle_evaluation, as far as its syntax tells."""

    folder: Path  # the competition's, in which the package lies
    version: str  # "" where the package does not say, as before 2026
    gateway: ClassName
    server: ClassName | None  # None: the notebook derives its own
    slugs: tuple[str, ...]  # folders of /kaggle/input that the gateway names
    reads: tuple[str, ...]  # paths in them
    row_ids: tuple[str, ...]  # columns; () where they are not known
    target: str  # the column of a prediction that is a single value; "" where it is not known
    response_seconds: float | None  # for each call but the first; None: computed when it runs
    startup_seconds: float
    ports: tuple[int, ...]
    servers: tuple[str, ...]  # names of several; () for the usual one
    batch: Batch | None  # what a call is about; None where that is not written out
    data_paths: tuple[str, ...]  # that `run_local_gateway` takes; () where not written out
    shares_files: bool
    submission: str  # what the gateway writes
    modules: frozenset[str]  # top-level modules that the package imports

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the host names under which the gateway looks for the notebook."""
        names = self.servers or (DEFAULT,)
        return tuple(HOST if name == DEFAULT else f"{HOST}_{name}" for name in names)

    @property
    def missing(self) -> tuple[str, ...]:
        """Return what the gateway reads and the competition's folder lacks."""
        return tuple(name for name in self.reads if not (self.folder / name).exists())

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield title and content of each thing that was understood, for people."""
        version = self.version or "that does not say its version, as those before 2026"
        yield "gateway", f"{self.gateway}, of a {NAME} {version}"
        yield "server", f"{self.server}" if self.server else "none: derive one of InferenceServer"
        yield "reads", ", ".join(self.reads) or "nothing by a path that is written out"
        if self.missing:
            yield "missing", f"{', '.join(self.missing)}: the gateway will not find it"
        deadline = (
            "set when it runs" if self.response_seconds is None else _time(self.response_seconds)
        )
        yield "deadlines", f"{_time(self.startup_seconds)} to start, {deadline} for each later call"
        yield "row ids", ", ".join(self.row_ids) or "not known"
        yield "target", self.target or "not known: predictions are tables"
        yield "ports", _ports(self.ports)
        if self.servers:
            yield "servers", ", ".join(self.hosts)
        if self.shares_files:
            yield "files", "shared below /kaggle/shared, just before the call that needs them"
        yield "writes", f"{self.submission} and result.json: the gateway, not the notebook"


def absent(folder: Path) -> str:
    """Say that a folder lacks the package, though the settings know of a gateway."""
    return (
        f"{folder} holds no {NAME}, but `gateway = true` in [tool.rsna-bundle.hidden] says that a "
        "gateway hands the rows over. Download the competition's files again, or take `gateway` "
        "out of the settings."
    )


def read(folder: Path) -> Package | None:
    """Read the package in a competition's folder; None where there is none.

    Raises InputError where it is not of a kind that a rehearsal can serve.
    """
    root = folder / NAME
    if not root.is_dir():
        return None
    modules = {
        path.relative_to(folder).as_posix(): _parse(path)
        for path in sorted(root.rglob("*.py"))
        if "generated" not in path.parts
    }
    _require_known(root, modules)
    own = {name: tree for name, tree in modules.items() if "core" not in PurePosixPath(name).parts}
    server = next(iter(_derived(own, SERVERS)), None)
    gateway, definition = _gateway(root, own, server and server[1])
    tree = own[_file(gateway)]
    known, core = constants.of(tree), constants.of(modules[f"{NAME}/core/relay.py"])
    default = _seconds(core.get("DEFAULT_DEADLINE_SECONDS"), HOUR)
    paths = list(_paths(tree))
    ports = core.get("GRPC_PORTS")
    called = {declarations.tail(call.func) for call in declarations.calls(definition)}
    return Package(
        folder=folder,
        version=_version(modules),
        gateway=gateway,
        server=server[0] if server else None,
        slugs=tuple(dict.fromkeys(path.partition("/")[0] for path in paths)),
        reads=tuple(dict.fromkeys(path.partition("/")[2] for path in paths if "/" in path)),
        row_ids=declarations.row_ids(definition),
        target=next(declarations.settings(definition, "target_column_name"), ""),
        response_seconds=declarations.deadline(definition, known, default),
        startup_seconds=_seconds(core.get("STARTUP_LIMIT_SECONDS"), STARTUP),
        ports=tuple(p for p in ports if isinstance(p, int)) if isinstance(ports, list) else (),
        servers=declarations.servers(definition, known),
        batch=batches.read(definition),
        data_paths=batches.data_paths(definition),
        shares_files="share_files" in called,
        submission=declarations.submission(definition),
        modules=imports.closure(_sources(folder), ""),  # no command: all modules count
    )


def _paths(tree: ast.Module) -> Iterator[str]:
    """Yield the paths below /kaggle/input that are written out, without its layout of 2026."""
    for text in declarations.texts(tree):
        if text.startswith(INPUT) and "*" not in text:
            yield text.removeprefix(INPUT).removeprefix("competitions/").rstrip("/")


def _sources(folder: Path) -> dict[str, bytes]:
    paths = sorted((folder / NAME).rglob("*.py"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# --- is it a package that we know? ---


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"{path} is no Python that this version can parse: {error}. Download the "
            "competition's files again."
        ) from error


def _require_known(root: Path, modules: Mapping[str, ast.Module]) -> None:
    lacking = [
        f"{name}: {missing}"
        for name, wanted in KNOWN.items()
        for missing in _lacking(modules.get(f"{NAME}/{name}"), wanted)
    ]
    if lacking:
        version = _version(modules)
        raise InputError(
            f"{root} is a {NAME} {version or 'without a version number'} of a kind that this "
            f"rsna-bundle does not know: it lacks {'; '.join(lacking)}. Download the competition's "
            "files again if some are missing, or update rsna-bundle. Until then only "
            "`run_local_gateway`, called in your notebook, rehearses it."
        )


def _lacking(tree: ast.Module | None, wanted: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if tree is None:
        yield "the file itself"
        return
    classes = _classes(tree)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, methods in wanted.items():
        if name not in classes and name not in functions:
            yield name
            continue
        if methods:
            own = {node.name for node in classes[name].body if isinstance(node, ast.FunctionDef)}
            yield from (f"{name}.{method}" for method in methods if method not in own)


def _version(modules: Mapping[str, ast.Module]) -> str:
    tree = modules.get(f"{NAME}/__init__.py")
    return str(constants.of(tree).get("__version__", "")) if tree else ""


# --- classes ---


def _classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _derived(
    modules: Mapping[str, ast.Module], bases: Sequence[str]
) -> list[tuple[ClassName, ast.ClassDef]]:
    """Return the classes that derive from one of the templates, in the order of their modules."""
    return [
        (ClassName(module=_module(name), name=node.name), node)
        for name, tree in modules.items()
        for node in _classes(tree).values()
        if any(declarations.tail(base) in bases for base in node.bases)
    ]


def _gateway(
    root: Path, modules: Mapping[str, ast.Module], server: ast.ClassDef | None
) -> tuple[ClassName, ast.ClassDef]:
    """Return the gateway: of several, the one that the server's local test runs."""
    candidates = _derived(modules, GATEWAYS)
    if not candidates:
        raise InputError(
            f"{root} holds no class that derives from core.templates.Gateway, so there is no "
            "gateway to rehearse with. Download the competition's files again."
        )
    if len(candidates) > 1 and server is not None:
        used = {declarations.tail(call.func) for call in declarations.calls(server)}
        candidates = [one for one in candidates if one[0].name in used] or candidates
    if len(candidates) > 1:
        names = ", ".join(str(name) for name, _ in candidates)
        raise InputError(f"{root} holds several gateways ({names}), and no server names its own.")
    return candidates[0]


def _module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _file(name: ClassName) -> str:
    return name.module.replace(".", "/") + ".py"


# --- for people ---


def _seconds(value: Value | None, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _ports(ports: Sequence[int]) -> str:
    if not ports:
        return "not known"
    return f"{ports[0]}" + (f", then {ports[1]} to {ports[-1]}" if len(ports) > 1 else "")
