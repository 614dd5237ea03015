"""Does the code name files of the laptop?"""

import re
from collections.abc import Iterator, Mapping

from bundler.rehearse.checks import tree

LAPTOP = re.compile(r"""["'](?P<path>(?:/home/[^/"']+|/Users/[^/"']+|[A-Z]:\\\\?Users)[^"'\n]*)""")


def of_laptop(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield where the tree's files name an absolute path, or mix up names by case."""
    by_lower: dict[str, str] = {}
    for name, text in texts.items():
        other = by_lower.setdefault(name.lower(), name)
        if other != name:
            yield f"{other} and {name} differ in upper and lower case alone: a laptop may mix them."
        if tree.runs(name):
            for match in LAPTOP.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                yield (
                    f"{name}:{line} names {match['path']}, an absolute path of the laptop: it does "
                    "not exist on Kaggle. Take paths from --input and the bundles."
                )
