"""wheelhouse.txt → lock → wheels → proof: the packages that the notebook's image lacks."""

from typing import TYPE_CHECKING

from bundler.libs.options import LibsOptions

if TYPE_CHECKING:
    from bundler.libs.wheelhouse import Wheelhouse

__all__ = ["LibsOptions", "build"]


def build(options: LibsOptions) -> "Wheelhouse":
    """Build the libs bundle. Raises BundlerError."""
    from bundler.libs import wheelhouse

    return wheelhouse.build(options)
