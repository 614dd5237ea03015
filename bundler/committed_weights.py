"""Weights in a git commit: they travel, but each version of them stays in the repository."""

from collections.abc import Mapping

LARGE = 10 << 20  # bytes; a smaller file does a repository no harm
SHOWN = 3
WEIGHTS = (
    *(".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".onnx", ".engine", ".plan", ".trt"),
    *(".pkl", ".pickle", ".joblib", ".h5", ".hdf5", ".keras", ".weights", ".gguf", ".npz", ".npy"),
    *(".cbm", ".ubj", ".lgb", ".tflite", ".model"),
)


def is_weights(name: str) -> bool:
    """Say whether a file's name is one that weights have."""
    return name.lower().endswith(WEIGHTS)


def hint(files: Mapping[str, bytes]) -> str | None:
    """Return what to do about large weights among a commit's files; None where there are none."""
    sizes = {name: len(content) for name, content in files.items() if is_weights(name)}
    large = sorted((name for name in sizes if sizes[name] >= LARGE), key=lambda name: -sizes[name])
    if not large:
        return None
    listed = ", ".join(f"{name} ({sizes[name] / 1e6:.0f} MB)" for name in large[:SHOWN])
    more = f" and {len(large) - SHOWN} more" if len(large) > SHOWN else ""
    paths = " ".join(large[:SHOWN])
    return (
        f"The commit holds weights: {listed}{more}. Git keeps every version of them, and each code "
        "bundle sends them again. Bundle them apart: `git rm --cached` them, name them in "
        f".gitignore, and run `rsna-bundle model --files {paths}`; the command finds them in "
        "$RSNA_BUNDLE_MODEL."
    )
