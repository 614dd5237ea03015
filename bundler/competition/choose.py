"""Which competition a rehearsal works against: the one place that knows them all."""

from pathlib import Path

from bundler.competition.protocol import Competition
from bundler.hidden import Hidden
from bundler.settings import Settings

SCREENING = "rsna-breast-cancer-detection"


def choose(
    settings: Settings,
    *,
    folder: Path | None = None,
    phantom_size: tuple[int, int] | None = None,
) -> Competition:
    """Return the competition that the settings name, with the user's own copy of its data.

    Screening mammography has hidden tests of its own kind; so has a team's copy of it under
    another name, which runs the runner in the box. A command of the user's, or a description of
    the tables, means any other competition. `phantom_size` (height, width) is of the phantoms that
    stand for mammograms where there is no `folder`; None: those of a real rehearsal.
    """
    own = settings.run is not None and settings.competition != SCREENING
    # Each competition is imported only when it is chosen: this one needs numpy and pydicom.
    if settings.hidden == Hidden() and not own:
        from bundler.competition.screening.competition import PHANTOM_SIZE, Screening

        return Screening(folder=folder, phantom_size=phantom_size or PHANTOM_SIZE)
    from bundler.competition.gateway import competition as gateway
    from bundler.competition.general import TableCompetition

    tables = TableCompetition(folder=folder, hidden=settings.hidden, root=settings.root)
    return gateway.choose(tables, settings.hidden_units, ordered=settings.gateway.ordered)
