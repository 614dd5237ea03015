"""What the user should know of a commit before it travels: what it lacks, what is too large."""

from collections.abc import Iterator, Mapping, Sequence

from bundler.git_tree import Tree

LARGE_WEIGHTS = 10 << 20  # bytes; a smaller file does a repository no harm
LARGE = 100 << 20  # of any other file; also the most that hosts of repositories commonly take
SHOWN = 3
POINTER = b"version https://git-lfs.github.com/spec/v1\n"  # the first line of Git LFS's pointers
LARGEST_POINTER = 1024  # bytes (Git LFS specification, "The Pointer")
WEIGHTS = (
    *(".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".onnx", ".engine", ".plan", ".trt"),
    *(".pkl", ".pickle", ".joblib", ".h5", ".hdf5", ".keras", ".weights", ".gguf", ".npz", ".npy"),
    *(".cbm", ".ubj", ".lgb", ".tflite", ".model"),
)


def is_weights(name: str) -> bool:
    """Say whether a file's name is one that weights have."""
    return name.lower().endswith(WEIGHTS)


def losses(tree: Tree) -> Iterator[str]:
    """Yield what the notebook will lack though the laptop may have it, with the way out."""
    if tree.missing_submodules:
        yield (
            f"Submodules whose files the bundle lacks: {_listed(tree.missing_submodules)}. They "
            "are not checked out here at the commit that the tree names. Run `git submodule update "
            "--init --recursive`, and bundle again."
        )
    if tree.ignored:
        yield (
            f"Files that the bundle lacks: {_listed(tree.ignored)}. A .gitattributes marks them "
            "export-ignore; remove the mark where the notebook needs them."
        )
    if pointers := [name for name, content in tree.files.items() if _is_pointer(content)]:
        yield (
            f"Pointers of Git LFS in place of content: {_listed(pointers)}. The notebook would "
            "read three lines of text. Run `git lfs pull` and bundle again, or bundle the content "
            "by `rsna-bundle model --files`."
        )


def hints(files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield what had better travel in the model bundle."""
    sizes = {
        name: len(content)
        for name, content in files.items()
        if len(content) >= (LARGE_WEIGHTS if is_weights(name) else LARGE)
    }
    if not sizes:
        return
    large = sorted(sizes, key=lambda name: -sizes[name])
    listed = ", ".join(f"{name} ({sizes[name] / 1e6:.0f} MB)" for name in large[:SHOWN])
    kind = "weights" if all(map(is_weights, large)) else "large files"
    yield (
        f"The commit holds {kind}: {listed}{_more(large)}. Git keeps every version of them, and "
        "each code bundle sends them again. Bundle them apart: `git rm --cached` them, name them "
        f"in .gitignore, and run `rsna-bundle model --files {' '.join(large[:SHOWN])}`; the "
        "command finds them in $RSNA_BUNDLE_MODEL."
    )


def _is_pointer(content: bytes) -> bool:
    return len(content) <= LARGEST_POINTER and content.startswith(POINTER)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + _more(names)


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
