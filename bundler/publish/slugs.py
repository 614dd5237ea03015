"""Names on Kaggle: what a dataset's or a notebook's may look like."""

import re
from dataclasses import dataclass

from bundler.errors import UsageError
from bundler.publish.client import Client

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LENGTHS = {"dataset": (6, 50), "notebook": (5, 50)}


@dataclass(frozen=True, kw_only=True)
class Ref:
    """An owner's dataset or notebook."""

    owner: str
    slug: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.slug}"

    @property
    def title(self) -> str:
        """Return the title that Kaggle makes this very slug of."""
        return self.slug.replace("-", " ")


def reference(owner: str, slug: str, what: str = "dataset") -> Ref:
    """Return the name of a dataset or notebook. Raises UsageError for what Kaggle refuses."""
    low, high = LENGTHS[what]
    if not SLUG.fullmatch(slug) or not low <= len(slug) <= high:
        raise UsageError(
            f"{slug!r} is no slug for a {what}: Kaggle wants {low} to {high} small letters, digits "
            f"and single hyphens ({len(slug)} characters given). Mend [tool.rsna-bundle] in "
            "pyproject.toml."
        )
    return Ref(owner=owner, slug=slug)


def owner(client: Client, said: str | None) -> str:
    """Return whose datasets and notebooks these are. Raises UsageError for another's."""
    if said and said.lower() != client.user.lower():
        raise UsageError(
            f"owner is {said!r} in [tool.rsna-bundle], but the credentials are those of "
            f"{client.user!r}. Correct the owner, or sign in as {said} (`rsna-bundle doctor`)."
        )
    return client.user
