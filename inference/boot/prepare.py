"""Find → verify → install: what stands before the command, whoever starts it.

`inference.launch` does it once, and tells what it starts so by a variable; `inference.run` alone
does the same steps by the same code.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.boot import bundle as bundles
from inference.boot import files, install, mounted
from inference.boot.bundle import Bundle
from inference.boot.manifest import KINDS
from inference.errors import BundleError, UsageError

STARTED = "RSNA_BUNDLE_STARTED"  # the launch's start, so that its time counts, too
PREPARED = "RSNA_BUNDLE_PREPARED"  # the ids of the bundles that are verified and installed


@dataclass(frozen=True, kw_only=True)
class Request:
    """Where to look for the bundles, and which ones are wanted."""

    input: Path
    scratch: Path
    expected_ids: Mapping[str, str]
    needs_model: bool  # a command of the user's own may do without


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Verified bundles, and where what they hold lies now."""

    libs: Bundle
    code: Bundle
    model: Bundle | None
    site: Path  # the installed wheels
    model_folder: Path | None  # the model's files under their true names

    def require_model(self) -> Bundle:
        """Return the model bundle; a `Request` with `needs_model` has one."""
        if self.model is None:
            raise BundleError("No model bundle is mounted. Add the dataset to the notebook.")
        return self.model

    @property
    def bundles(self) -> dict[str, Bundle]:
        """Return the bundles by kind."""
        held = {"libs": self.libs, "model": self.model, "code": self.code}
        return {kind: bundle for kind, bundle in held.items() if bundle}

    @property
    def ids(self) -> dict[str, str]:
        """Return the bundles' ids by kind."""
        return {kind: bundle.id for kind, bundle in self.bundles.items()}

    @property
    def token(self) -> str:
        """Return what `PREPARED` holds where all of these were verified and installed."""
        return ",".join(f"{kind}={identity}" for kind, identity in self.ids.items())


def started() -> float:
    """Return when the notebook's run began, on the clock of `time.monotonic`."""
    # That clock is the machine's, so another process's reading of it holds in this one, too; but
    # not one from before the machine was started anew.
    now = time.monotonic()
    try:
        started = float(os.environ.get(STARTED) or now)
    except ValueError:
        return now
    return started if 0 <= started <= now else now


def prepare(request: Request) -> Prepared:
    """Choose the bundles, verify every file of them, install the wheels. Raises RunError.

    What `inference.launch` has verified and installed a moment ago is not verified again.
    """
    present = mounted.find(request.input)
    libs, code = (
        mounted.choose(present, kind, request.expected_ids.get(kind)) for kind in ("libs", "code")
    )
    model = None
    if request.needs_model or _is_mounted(present[0], "model") or "model" in request.expected_ids:
        model = mounted.choose(present, "model", request.expected_ids.get("model"))
    chosen = Prepared(
        libs=libs,
        code=code,
        model=model,
        site=install.folder(libs, request.scratch),
        model_folder=files.place(model, request.scratch) if model else None,
    )
    if os.environ.get(PREPARED) == chosen.token:
        return chosen
    bundles.verify(code.folder)
    if model:
        files.restore(model, request.scratch)
    install.install(libs, request.scratch)  # which verifies the wheels on their way
    return chosen


def _is_mounted(bundles: list[Bundle], kind: str) -> bool:
    return any(bundle.kind == kind for bundle in bundles)


def parse_expected(text: str) -> tuple[str, str]:
    """Return kind and id of a `--expect-id KIND=ID`. Raises UsageError."""
    kind, _, identity = text.partition("=")
    if kind not in KINDS or not identity:
        raise UsageError(f"--expect-id {text} is not KIND=ID; kinds are {', '.join(KINDS)}.")
    return kind, identity
