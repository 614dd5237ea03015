"""How a network's numbers become the probability of cancer: `--head`."""

from dataclasses import dataclass

KINDS = ("sigmoid", "softmax", "probability")


@dataclass(frozen=True, kw_only=True)
class Head:
    """Output `index` is cancer's logit (sigmoid), one of several classes' (softmax), or final."""

    kind: str
    index: int

    def fits(self, outputs: int) -> bool:
        """Say whether a network with so many outputs can be read so."""
        return self.index < outputs and (self.kind != "softmax" or outputs > 1)


def parse(text: str) -> Head | None:
    """Return the head that a text names, or None; `softmax` alone is the second of two classes."""
    kind, colon, index = text.partition(":")
    if kind not in KINDS or (not index.isdigit() if colon else kind != "softmax"):
        return None
    return Head(kind=kind, index=int(index) if colon else 1)


def read(text: str) -> Head:
    """Return the head that a recipe names. Raises ValueError; recipes are checked before."""
    head = parse(text)
    if head is None:
        raise ValueError(f"{text!r} is no head")
    return head
