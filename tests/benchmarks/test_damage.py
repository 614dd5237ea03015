"""Lost sectors are noticed in every syntax that has a way to notice them."""

from pathlib import Path

import pytest

from benchmarks import damage
from benchmarks.encoders import ENCODERS

LOST = ("zeroed sector", "zeroed tail", "hole")
STREAMS = sorted(set(ENCODERS) - {"uncompressed"})


@pytest.mark.parametrize("name", STREAMS)
def test_no_lost_sector_goes_unnoticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = {one.__name__.replace("_", " "): one for one in damage.DAMAGES}
    monkeypatch.setattr(damage, "DAMAGES", tuple(by_name[kind] for kind in LOST))
    outcomes = damage.measure(name, tmp_path, 6, damage.CONFIG)
    assert outcomes.pop("sound, called suspicious") == 0
    assert set(outcomes) == set(LOST)
    for kind, counts in outcomes.items():
        assert isinstance(counts, dict)
        assert counts.get("unnoticed", 0) == 0, kind
        assert sum(counts.values()) >= 6
