"""Which competition a rehearsal works against: the one place that knows them all."""

from pathlib import Path

from bundler.competition.protocol import Competition


def choose(
    slug: str, *, folder: Path | None = None, phantom_size: tuple[int, int] | None = None
) -> Competition:
    """Return the competition named `slug`, with the user's own copy of its data in `folder`.

    Today every slug is taken for screening mammography, whose runner is in the box: a team may
    have copied that competition under another name. `phantom_size` (height, width) is of the
    phantoms that stand for its images where there is no `folder`; None: those of a real rehearsal.
    """
    # Each competition is imported only when it is chosen: this one needs numpy and pydicom.
    from bundler.competition.screening.competition import PHANTOM_SIZE, Screening

    return Screening(folder=folder, phantom_size=phantom_size or PHANTOM_SIZE)
