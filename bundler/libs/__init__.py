"""wheelhouse.txt → lock → wheels → proof: the packages that the notebook's image lacks."""

from typing import TYPE_CHECKING

from bundler.errors import BundlerError
from bundler.libs.options import LibsOptions

if TYPE_CHECKING:
    from bundler.libs.wheelhouse import Wheelhouse

__all__ = ["LibsOptions", "build"]


def build(options: LibsOptions) -> "Wheelhouse":
    """Build the libs bundle. Raises BundlerError."""
    from bundler.libs import wheelhouse

    try:
        return wheelhouse.build(options)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise BundlerError(
            f"The libs bundle cannot be built: {place}{error.strerror or error}. Its place is "
            "untouched. Mend the disk or the permissions, or name another cache folder with "
            "RSNA_BUNDLE_CACHE, and run it again."
        ) from error
