"""What can be wrong with one image, in a word that can be counted."""

from typing import Literal

from inference.errors import InputError

Kind = Literal[
    "missing",  # no such file, or no permission
    "empty",  # a file of no bytes
    "not-dicom",  # no DICM prefix, or a header that cannot be read
    "no-pixels",  # a DICOM without pixel data
    "truncated",  # the file ends before its pixel data do
    "too-large",  # beyond the limits of `inference.pixels.limits`
    "unsupported",  # valid, but nothing this tool reads: colour, several frames, unknown syntax
    "corrupt",  # header and pixel data contradict each other, or the decoder refuses
    "crashed",  # the decoder took its process with it
    "timeout",  # not decoded within the time that one image may take
    "no-memory",  # not enough memory to decode it
    "unexpected",  # any other exception, which the message names
    "not-a-number",  # the model predicts NaN or infinity for it
    "no-decoder",  # the package that decodes this transfer syntax is not installed
]


class DeclinedError(Exception):
    """A decoder leaves a stream to the next one: it is not of the kind that it is for."""


class ImageError(InputError):
    """One image cannot be read; `kind` says why in a word."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind

    def __reduce__(self) -> tuple[type["ImageError"], tuple[Kind, str]]:
        """Let the error cross a process boundary whole."""
        return type(self), (self.kind, str(self))
