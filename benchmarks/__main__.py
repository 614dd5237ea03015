"""`python -m benchmarks NAME`: the figures of the README, one command each."""

import importlib
import pkgutil
import sys

import benchmarks

SUPPORT = ("corpus", "encoders", "__main__")  # modules that measure nothing


def main() -> int:
    """Run the benchmark that the first word names."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    names = [name for name in names if name not in SUPPORT]
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print(f"usage: python -m benchmarks {{{','.join(names)}}} [--help]", file=sys.stderr)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    return int(importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
