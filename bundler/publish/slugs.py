"""Names of datasets and notebooks on Kaggle."""

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
        """Return the title from which Kaggle derives this slug."""
        return self.slug.replace("-", " ")


def reference(owner: str, slug: str, kind: str = "dataset") -> Ref:
    """Return the name of a dataset or notebook. Raises UsageError if Kaggle would refuse it."""
    low, high = LENGTHS[kind]
    if not SLUG.fullmatch(slug) or not low <= len(slug) <= high:
        raise UsageError(
            f"{slug!r} ({len(slug)} characters) is not a valid name for a {kind}: Kaggle wants "
            f"{low} to {high} lowercase letters, digits and single hyphens. Fix it in "
            "[tool.rsna-bundle] in pyproject.toml."
        )
    return Ref(owner=owner, slug=slug)


def owner(client: Client, setting: str | None) -> str:
    """Return the owner of datasets and notebooks. Raises UsageError if it is another user."""
    if setting and setting.lower() != client.user.lower():
        raise UsageError(
            f"The owner in [tool.rsna-bundle] is {setting!r}, but the credentials are for "
            f"{client.user!r}. Correct the setting, or sign in as {setting}."
        )
    return client.user
