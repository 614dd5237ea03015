"""The options that `inference.launch` and `inference.run` share: where things are mounted."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.boot import mounted, prepare


def parser() -> argparse.ArgumentParser:
    """Return the parent of both programs' parsers."""
    parent = argparse.ArgumentParser(add_help=False)
    add: Any = parent.add_argument
    add(
        "--input",
        type=Path,
        metavar="DIR",
        default=mounted.input_folder(),
        help="where the datasets are mounted (default: $RSNA_BUNDLE_INPUT, then /kaggle/input)",
    )
    add("--competition", metavar="SLUG", help="which competition, where several are mounted")
    add("--scratch", type=Path, metavar="DIR", help="where files are unpacked and installed")
    add(
        "--expect-id",
        action="append",
        default=[],
        metavar="KIND=ID",
        help="stop unless this bundle is the one that is mounted (repeatable)",
    )
    return parent


def parsed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parsed values, with the scratch folder made and ids by kind. Raises UsageError."""
    ids = dict(prepare.parse_expected(one) for one in values["expect_id"])
    others = {name: value for name, value in values.items() if name != "expect_id"}
    return others | {"scratch": mounted.scratch_folder(values["scratch"]), "expected_ids": ids}
