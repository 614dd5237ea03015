"""What a performance is given: the image, the datasets as they arrive, the limits."""

import os
from dataclasses import replace
from pathlib import Path

from bundler import atomic
from bundler.competition.screening import hidden_test
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.image import emulation, interpreters, target
from bundler.image.emulation import EmulatedImage
from bundler.image.interpreters import NoInterpreterError
from bundler.image.target import Target
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.run import upload
from bundler.rehearse.run.layout import Limits
from inference.boot.bundle import Bundle

SHARE = 0.9  # of this machine's free memory that a rehearsal may use
OPTIONAL = ("numba",)  # what the runner makes use of where the image has it
# The form in which each layout's datasets arrive; the others are verified without being run.
FORMS = {
    "new": dict.fromkeys(("libs", "model", "code"), upload.PUBLISHED),
    "legacy": {"libs": "name/", "model": upload.PUBLISHED, "code": "name/name/"},
}


def emulate_image(options: RehearseOptions, machine: Target, libs: Bundle) -> EmulatedImage:
    """Return a Python that stands for the notebook's, with what the runner takes from the image.

    Where the target's Python is not on this machine, this one stands for it.
    """
    if options.python is not None:
        return emulation.from_python(options.python, machine)
    try:
        interpreter = interpreters.find(machine)
    except NoInterpreterError as error:
        image = emulation.emulate(target.host(), interpreters.this(), kernel=True)
        return replace(image, differences=(str(error),))
    made = libs.libs.fitting(machine.python)
    return emulation.emulate(
        machine,
        interpreter,
        requirements=made.excluded if made else (),
        optional=OPTIONAL,
        kernel=True,
    )


def receive(dist: Path, place: Path, layout: str) -> dict[str, Path]:
    """Upload each bundle in the layout's form; return the datasets by kind."""
    received = {}
    for kind, form in FORMS[layout].items():
        upload.receive(dist / kind, place / kind, form)
        received[kind] = place / kind
    return received


def fewer(shown: HiddenSet, folder: Path) -> HiddenSet:
    """Return the awkward cases alone: what another layout changes shows on few images."""
    place = folder / "hidden"
    for image_file in shown.planted:
        source = shown.path(image_file.row)
        if source.is_file():
            taken = place / source.relative_to(shown.folder)
            taken.parent.mkdir(parents=True, exist_ok=True)
            atomic.link_or_copy(source, taken)
    few = HiddenSet(folder=place, sample=(), planted=shown.planted, labels={}, source=shown.source)
    hidden_test.write_tables(few)
    return few


def limits_here(options: RehearseOptions, machine: Target) -> Limits:
    """Return the target's limits, scaled to what this machine has, and what was scaled."""
    scaled = []
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if machine.cpus and machine.cpus > cpus:
        scaled.append(f"{cpus} CPUs here, {machine.cpus} there")
    free = int(_free_memory() * SHARE)
    memory = options.memory_bytes or machine.memory_bytes or free
    if memory > free:
        scaled.append(f"{free / 1e9:.1f} GB of memory free here, {memory / 1e9:.1f} GB there")
    return Limits(
        cpus=min(cpus, machine.cpus or cpus),
        memory_bytes=min(memory, free),
        working_bytes=options.working_bytes,
        seconds=options.settings.time_limit_hours * 3600,
        scaled=tuple(scaled),
    )


def _free_memory() -> int:
    path = Path("/proc/meminfo")
    if not path.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = dict(line.split(":") for line in path.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) << 10
