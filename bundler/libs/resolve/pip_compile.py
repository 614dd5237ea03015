"""pip-compile for another machine: `python -m bundler.libs.resolve.pip_compile TARGET.json …`.

The real pip-compile, in a process of its own in which pip sees the target: pip and pip-tools
evaluate markers, and pip-tools chooses tags, for the machine that they run on. Of pip's insides
three names are replaced; what they are is pinned by a test against uv's answers.
"""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundler.image import target as targets
from bundler.image.target import Target


def main(arguments: list[str]) -> None:
    """Replace what pip believes of its machine, then hand over to pip-compile."""
    set_machine(targets.read(Path(arguments[0])))
    from pip._internal.exceptions import PipError
    from piptools.scripts.compile import cli

    try:
        cli(arguments[1:])
    except PipError as error:  # pip-compile itself shows a traceback
        own = [] if str(error).startswith("ResolutionImpossible") else [str(error)]
        print("\n".join([*causes(error), *own]), file=sys.stderr)
        sys.exit(1)


def causes(error: Exception) -> Iterator[str]:
    """Yield who needs what it does not get."""
    for cause in getattr(error.__cause__, "causes", []):
        parent = cause.parent
        who = f"{parent.name} {parent.version}" if parent else "The requirements file"
        yield f"{who} needs {cause.requirement.format_for_error()}"


def set_machine(target: Target) -> None:
    """Make pip, in this process, resolve for the target."""
    from pip._internal.cli.req_command import RequirementCommand
    from pip._internal.models.target_python import TargetPython
    from pip._vendor.packaging import markers, tags

    environment = target.environment
    own = [tags.Tag(tag.interpreter, tag.abi, tag.platform) for tag in target.tags]
    version = tuple(int(part) for part in target.python.split(".")[:3])

    plain_init: Any = TargetPython.__init__
    replaced: list[tuple[Any, str, Any]] = [
        (
            TargetPython,
            "__init__",
            lambda self, *_, **__: plain_init(self, py_version_info=version),
        ),
        (TargetPython, "get_sorted_tags", lambda _: own),
        (TargetPython, "get_unsorted_tags", lambda _: set(own)),
        (markers, "default_environment", lambda: dict(environment)),
    ]
    for owner, name, value in replaced:
        setattr(owner, name, value)
    make: Any = functools.partial(RequirementCommand.make_resolver, py_version_info=version)
    RequirementCommand.make_resolver = make  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1:])
