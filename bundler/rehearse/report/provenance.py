"""Where a rehearsal's result comes from: what was rehearsed with what, and what differs."""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass

import inference
from bundler.competition.protocol import HiddenTest
from bundler.image.emulation import EmulatedImage
from bundler.rehearse.checks import notebook
from bundler.rehearse.inputs import Inputs
from bundler.sandbox import seatbelt
from inference.boot.bundle import Bundle
from inference.boot.manifest import Model


@dataclass(frozen=True, kw_only=True)
class BundleOrigin:
    """A bundle that was rehearsed."""

    kind: str
    id: str
    folder: str
    origin: str  # its checkpoint or commit, as far as it says


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What was rehearsed with what."""

    bundles: tuple[BundleOrigin, ...]
    target: str
    python: str | None  # None: nothing was run
    sandbox: str
    working: str | None  # how the size of /kaggle/working was kept; None: nothing was run
    layouts: tuple[str, ...]  # those that were run
    machine: str
    hidden_test: str | None
    tool: str
    when: str
    notes: tuple[str, ...]  # what is unlike the target


def describe(
    inputs: Inputs,
    layouts: Sequence[str] = (),
    image: EmulatedImage | None = None,
    hidden: HiddenTest | None = None,
    working: str | None = None,
) -> Provenance:
    """Return what was rehearsed with what, as far as it came."""
    notes = [*(image.differences if image else ()), *inputs.limits.scaled]
    notes += hidden.notes if hidden else ()
    notes += of_models(inputs.bundles.get("model"))
    if inputs.backend == seatbelt.PROGRAM:
        notes.append(seatbelt.UNTESTED)
    if inputs.target.estimate:
        notes.append(f"the target {inputs.target.name} is an estimate: capture yours in a notebook")
    return Provenance(
        bundles=tuple(
            BundleOrigin(
                kind=kind,
                id=bundle.id,
                folder=str(bundle.folder),
                origin=notebook.origin(bundle).strip(" ()"),
            )
            for kind, bundle in inputs.bundles.items()
        ),
        target=inputs.target.name,
        python=image.version if image else None,
        sandbox=inputs.backend,
        working=working,
        layouts=tuple(layouts),
        machine=f"{platform.system()} {platform.machine()}, {inputs.limits.cpus} CPUs used",
        hidden_test=hidden.source if hidden else None,
        tool=inference.__version__,
        when=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        notes=tuple(notes),
    )


def of_models(model: Bundle | None) -> list[str]:
    """Return what the user's own predictions prove of each network."""
    if model is None or not isinstance(model.manifest.part, Model):
        return []
    return [f"{one.file}: {one.proof_line}" for one in model.manifest.part.models]
