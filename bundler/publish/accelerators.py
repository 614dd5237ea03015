"""The kinds of machines that a notebook may ask for.

Kaggle takes any text for a kind and gives another machine without a word; its client has no list.
"""

from bundler.errors import UsageError
from bundler.progress import Progress

KINDS = (
    "NvidiaTeslaT4",  # two of them
    "NvidiaTeslaT4Highmem",
    "NvidiaTeslaA100",
    "NvidiaL4",
    "NvidiaL4X1",
    "NvidiaH100",
    "NvidiaRtxPro6000",
    "Tpu1VmV38",
    "TpuV38",
    "TpuV5E8",
    "TpuV6E8",
)
RETIRED = {"NvidiaTeslaP100": "NvidiaTeslaT4"}  # kind → what took its place


def check(kind: str, progress: Progress) -> None:
    """Raise UsageError for a kind that is retired or written otherwise; warn of an unknown one."""
    if not kind or kind in KINDS:
        return
    known = {name.lower(): name for name in (*KINDS, *RETIRED)}
    name = known.get(kind.lower())
    if name in RETIRED:
        raise UsageError(
            f"Kaggle has retired the accelerator {name}. Set accelerator = "
            f'"{RETIRED[name]}" in [tool.rsna-bundle].'
        )
    if name:
        raise UsageError(
            f"The accelerator is written {name}, not {kind}: Kaggle would give another machine "
            f'without a word. Set accelerator = "{name}" in [tool.rsna-bundle].'
        )
    progress.warn(
        f"The accelerator {kind} is not known here. Kaggle may give another machine; compare the "
        "GPUs in run.json after the run."
    )
