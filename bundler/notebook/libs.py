"""The library notebook: builds on Kaggle, with the internet on, the wheels that no index has."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import inference
from bundler.errors import InputError
from bundler.notebook.submission import save
from bundler.result import Json

NAME = "libs.ipynb"
WHEELS = "wheels"

BUILD = """\
# Written by rsna-bundle {version}: write it again with `rsna-bundle notebook libs`.
# This builds wheels for this very image, where compilers and CUDA are those of the submission.
# The notebook needs the internet.
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = {requirements}
ENVIRONMENT = {environment}
WHEELS = Path({wheels})
WHEELS.mkdir(exist_ok=True)

for requirement in REQUIREMENTS:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(WHEELS)]
    command += ["--no-binary", ":all:", "--no-build-isolation", requirement]
    print("+", *command, flush=True)
    result = subprocess.run(command, env=os.environ | ENVIRONMENT)
    if result.returncode:  # most likely its build requirements are not in the image
        command.remove("--no-build-isolation")
        print("+", *command, flush=True)
        subprocess.run(command, env=os.environ | ENVIRONMENT, check=True)
"""

TRY = """\
# All are installed into a folder of their own, as a first test.
built = sorted(WHEELS.glob("*.whl"))
command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", "tried"]
subprocess.run([*command, *map(str, built)], check=True)
listed = [
    {{
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }}
    for path in built
]
Path("wheels.json").write_text(json.dumps(listed, indent=1))
print(json.dumps(listed, indent=1))
subprocess.run(["rm", "-r", "tried"], check=True)
"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The notebook that was written, and what it builds."""

    path: Path
    requirements: Sequence[str]

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {"notebook": str(self.path), "requirements": list(self.requirements)}

    def summary(self) -> str:
        """Return one line for people."""
        return f"{self.path}: builds {', '.join(self.requirements)}"


def write(
    folder: Path, packages: Sequence[str], environment: Mapping[str, str] | None = None
) -> Written:
    """Write the notebook that builds `packages` into `folder`. Raises InputError."""
    requirements = [check(package) for package in packages]
    if not requirements:
        raise InputError(
            "No package is named. Name those that no index has a wheel of for the target: "
            "`rsna-bundle notebook libs --build PACKAGE==VERSION` (an address of git works too)."
        )
    cells = [
        BUILD.format(
            version=inference.__version__,
            requirements=json.dumps(requirements, indent=4),
            environment=json.dumps(dict(environment or {}), indent=4),
            wheels=json.dumps(WHEELS),
        ),
        TRY.format(),
    ]
    path = folder / NAME
    save(path, cells)
    return Written(path=path, requirements=requirements)


def check(package: str) -> str:
    """Return a requirement as pip reads it. Raises InputError."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return str(Requirement(package))
    except InvalidRequirement as error:
        raise InputError(f"{package!r} is not a requirement: {error}.") from error
