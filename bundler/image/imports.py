"""What a repository imports: its import closure, found without running it, as packages."""

import ast
import posixpath
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping

from packaging.utils import canonicalize_name

# Modules whose package has another name; of several, the one that the image has is taken.
PACKAGES = {
    "Bio": ("biopython",),
    "Crypto": ("pycryptodome",),
    "PIL": ("pillow",),
    "SimpleITK": ("simpleitk",),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "cv2": (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    "dateutil": ("python-dateutil",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "fitz": ("pymupdf",),
    "git": ("gitpython",),
    "google": ("protobuf",),
    "grpc": ("grpcio",),
    "hydra": ("hydra-core",),
    "igraph": ("python-igraph", "igraph"),
    "mpl_toolkits": ("matplotlib",),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "osgeo": ("gdal",),
    "pkg_resources": ("setuptools",),
    "pl_bolts": ("lightning-bolts",),
    "pytorch_lightning": ("pytorch-lightning",),
    "serial": ("pyserial",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "umap": ("umap-learn",),
    "yaml": ("pyyaml",),
}
# What a common library imports by itself when its functions are called. PyTorch imports optree
# where its metadata is there, which a stub package has, too; so does torchmetrics matplotlib.
ALONG = {
    "pandas": ("pyarrow",),
    "timm": ("torchvision", "optree"),
    "torch": ("optree",),
    "albumentations": ("cv2",),
    "torchmetrics": ("matplotlib",),
}
ROOTS = ("", "src/")  # of a tree: where its own modules lie


def closure(files: Mapping[str, bytes], command: str) -> frozenset[str]:
    """Return the top-level modules that a tree's command imports and that are not its own.

    `files` are the tree's, by path; `command` is what the notebook runs, such as
    `python -m package.module` or `python submit.py`. Where it cannot be followed (a shell script),
    all the tree's modules count. Imports within functions count, too: they may be called.
    """
    sources = {path for path in files if path.endswith(".py")}
    pending, seen, found = list(_entries(sources, command) or sorted(sources)), set[str](), set()
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _imported(path, files[path]):
            own = list(_own(name, sources))
            pending += own
            if not own and name:
                found.add(name.partition(".")[0])
    top = {_top(path) for path in sources}
    return frozenset(found - set(sys.stdlib_module_names) - top - {"__future__"})


# A module's name in a pickle: a string of protocol 4 and later, or an opcode of earlier ones.
PICKLED = re.compile(rb"\x8c.([A-Za-z_][\w.]*)|[ci]([A-Za-z_][\w.]*)\n", re.DOTALL)


def pickled(data: bytes) -> frozenset[str]:
    """Return the top-level modules that loading a pickle may import; nothing of it is loaded.

    Any short text in it may look like one: what no package of the image is called is dropped by
    `packages`.
    """
    names = (one or other for one, other in PICKLED.findall(data))
    return frozenset(name.decode().partition(".")[0] for name in names)


def packages(modules: Collection[str], installed: Collection[str]) -> tuple[str, ...]:
    """Return the installed packages (by their normalised names) that hold some modules."""
    found = []
    for module in sorted({*modules, *(m for name in modules for m in ALONG.get(name, ()))}):
        names = PACKAGES.get(module, (canonicalize_name(module),))
        found += [name for name in names if name in installed][:1]
    return tuple(dict.fromkeys(found))


def likely_modules(package: str) -> tuple[str, ...]:
    """Return what one most likely imports of a package, where nobody has looked into it."""
    named = tuple(module for module, names in PACKAGES.items() if package in names)
    return named or (package.replace("-", "_"),)


def _entries(sources: Collection[str], command: str) -> list[str]:
    """Return the files that a command begins with."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    found = []
    for number, word in enumerate(words):
        module = words[number + 1] if word == "-m" and number + 1 < len(words) else ""
        if module:
            found += [*_own(module, sources), *_own(f"{module}.__main__", sources)]
        elif posixpath.normpath(word) in sources:
            found.append(posixpath.normpath(word))
    return found


def _own(name: str, sources: Collection[str]) -> Iterator[str]:
    """Yield the tree's own files that importing a module runs: it and the packages it lies in."""
    parts = name.split(".")
    for root in ROOTS:
        for length in range(1, len(parts) + 1):
            stem = root + "/".join(parts[:length])
            for path in (f"{stem}.py", f"{stem}/__init__.py"):
                if path in sources:
                    yield path


def _imported(path: str, source: bytes) -> Iterator[str]:
    """Yield the full names that a module imports, or may import; nothing where it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    folder = posixpath.dirname(path).removeprefix("src/" if path.startswith("src/") else "")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = [part for part in folder.split("/") if part]
            inner = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*inner, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _top(path: str) -> str:
    """Return the top-level module that a file of the tree is, or belongs to."""
    first = path.removeprefix("src/").partition("/")[0]
    return first.removesuffix(".py")
