"""A package that is missing here: which of our extras has it, and how to install that.

Nothing is needed by all the parts, so that a machine may lack what a command imports. Standard
library only: it is asked when something is not there.
"""

import sys

from bundler import dependencies

EXIT_CODE = 3  # bad input, as any package that is missing on this machine


def refuse(error: BaseException) -> None:
    """Exit with one line where an error says that a package of an extra is missing."""
    if isinstance(error, ModuleNotFoundError) and (message := explain(error)):
        print(f"error: {message}", file=sys.stderr)
        sys.exit(EXIT_CODE)


def explain(error: ModuleNotFoundError) -> str | None:
    """Return what to install for a missing module; None for one that no extra of ours has."""
    module = (error.name or "").partition(".")[0]
    lists = dependencies.load()
    # The first that has it: whoever bundles also needs what the runner imports.
    modules = {
        "bundle": {*lists.runner, *lists.codecs, *lists.bundling, "onnxruntime", "requests"},
        "tables": {*lists.tables},
        "train": {*lists.training, *lists.fast, "omegaconf"},
        "cloud": {"distributed", "dask", *(name for own in lists.buckets.values() for name in own)},
    }
    extra = next((name for name, own in modules.items() if module in own), None)
    if extra is None:
        return None
    return (
        f"The package {module} is not installed, and this command needs it. Run "
        f"`python -m pip install 'rsna-bundle[{extra}]'` (in a checkout of rsna-bundle: "
        f"`python -m pip install '.[{extra}]'`), and try again."
    )
