"""wheelhouse.txt → lock → wheels → proof: the packages that the notebook's image lacks."""

from bundler.bundle import Built
from bundler.libs.options import LibsOptions

__all__ = ["LibsOptions", "build"]


def build(options: LibsOptions) -> Built:
    """Build the libs bundle. Raises BundlerError."""
    from bundler.libs import wheelhouse

    return wheelhouse.build(options)
