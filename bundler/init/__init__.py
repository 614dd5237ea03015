"""`rsna-bundle init`: a folder becomes a repository that the other commands work in."""

from bundler.init.repository import InitOptions, Made, init

__all__ = ["InitOptions", "Made", "init"]
