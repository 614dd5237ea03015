"""Ask a project's build backend (PEP 517): `python -I build_script.py REQUEST.json ANSWER.json`.

Run in the sandbox by the target's Python in an environment that holds
what the build needs; so it uses the standard library alone, of Python 3.9 and later.
"""

import importlib
import json
import os
import sys


def main(arguments: list[str]) -> None:
    """Call one hook of the backend and write what it returns; null where there is no such hook."""
    request_path, answer_path = arguments
    with open(request_path, encoding="utf-8") as stream:
        request = json.load(stream)
    os.chdir(request["project"])
    sys.path[:0] = [os.path.abspath(part) for part in request["path"]]
    module, _, attributes = request["backend"].partition(":")
    backend = importlib.import_module(module)
    for name in filter(None, attributes.split(".")):
        backend = getattr(backend, name)
    hook = getattr(backend, request["hook"], None)
    answer = hook(*request["arguments"]) if hook else None
    with open(answer_path, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)


if __name__ == "__main__":
    main(sys.argv[1:])
