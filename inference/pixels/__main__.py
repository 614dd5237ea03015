"""`python -m inference.pixels --decoders`: which decoder reads which transfer syntax here, and why.

The first that is installed is used, and where it declines, the next; a spare one is used where
those above it are not installed.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile

from inference.pixels.decoders import DECODERS, SUPPORTED, UNCOMPRESSED, Decoder, find_decoders
from inference.pixels.gpu import count_gpus


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of decoders."""
    parser = argparse.ArgumentParser(prog="python -m inference.pixels", description=__doc__)
    parser.add_argument("--decoders", action="store_true", required=True, help="print the table")
    parser.parse_args(arguments)
    print_decoders()


def print_decoders() -> None:
    """Print, for each transfer syntax, the decoders in the order of preference."""
    from pydicom.uid import UID

    for syntax in sorted(SUPPORTED, key=lambda uid: [int(part) for part in uid.split(".")]):
        print(f"{syntax}  {UID(syntax).name}")
        if syntax in UNCOMPRESSED:
            print("    used       numpy: nothing to decode")
        available = find_decoders(syntax)
        declining = list(takewhile(lambda row: row.declines, available))
        used = available[: len(declining) + 1]
        for row in DECODERS:
            if syntax not in row.syntaxes:
                continue
            state = "used" if row in used else "spare" if row in available else _why_not(row)
            print(f"    {state:<10} {row.name} ({_installed(row.distribution)}): {row.why}")


def _why_not(row: Decoder) -> str:
    return "no GPU" if row.gpu and not count_gpus() else "missing"


def _installed(distribution: str) -> str:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return f"pip install {distribution}"


if __name__ == "__main__":
    main()
