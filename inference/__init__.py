"""The ground floor: what the submission notebook runs. Imports nothing of bundler or train."""

__version__ = "0.1.0"
