"""report.html: self-contained, verdict first, fit for a desk and for a phone."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundler.rehearse.result import Rehearsal
from tests.failures.conftest import House

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
Shoot = Callable[[Path, int], np.ndarray]


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    """Return a function that renders a page at a width: uint8 [H, W, 3]."""
    if BROWSER is None and "CI" not in os.environ:
        pytest.skip("no chromium on this machine")

    def render(page: Path, width: int) -> np.ndarray:
        picture = tmp_path / f"{width}.png"
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        own = [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},4000"]
        subprocess.run(
            [str(BROWSER), *options, *own, f"--screenshot={picture}", page.as_uri()],
            check=True,
            capture_output=True,
            timeout=120,
        )
        return np.asarray(Image.open(picture).convert("RGB"))

    return render


class Links(HTMLParser):
    """Collects what a page would fetch, and its text in order."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses and tags."""
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "data")]

    def handle_data(self, data: str) -> None:
        """Note the text."""
        if self.tags[-1:] != ["style"]:
            self.text.append(data.strip())


def parsed(page: Path) -> Links:
    """Return a page's links and text."""
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def test_fetches_nothing_from_outside(rehearsed: Rehearsal) -> None:
    links = parsed(rehearsed.report)
    assert links.fetched
    assert all(address.startswith("data:image/png;base64,") for address in links.fetched)
    assert "script" not in links.tags
    assert not re.search(r"url\(|@import|https?://", rehearsed.report.read_text())


def test_says_the_verdict_first_and_everything_else(rehearsed: Rehearsal) -> None:
    text = [line for line in parsed(rehearsed.report).text if line]
    assert text[0] == "Rehearsal passed"  # the title
    body = text[text.index("Rehearsal passed", 1) :]
    assert body[1].startswith("The notebook ran, network cut, in Kaggle's new and legacy layouts.")
    assert "1000 phantoms of at most 320×256 take" in body[1]
    for heading in (
        "Steps of the rehearsed run",
        "The hidden test, projected",
        "Checks",
        "As the model sees them, with its predictions",
        "Distribution of the predictions",
        "What was rehearsed",
    ):
        assert heading in body
    assert {check.name for check in rehearsed.checks} <= set(body)
    for identity in [bundle.id for bundle in rehearsed.provenance.bundles]:
        assert any(identity[:16] in line for line in body)


def test_the_result_is_written_as_json_too(rehearsed: Rehearsal) -> None:
    written = json.loads(rehearsed.report.with_name("rehearsal.json").read_text())
    assert written == json.loads(json.dumps(rehearsed.as_dict()))
    assert written["passed"] is True
    assert written["projection"]["seconds"] > 0
    assert {one["name"] for one in written["quantities"]} >= {"time", "memory", "disk"}
    assert "The rehearsal passed; not known: " in rehearsed.summary().splitlines()[0]


def test_a_failure_comes_first_and_is_escaped(house: House) -> None:
    path = house.dist / "notebook" / "submission.ipynb"
    path.write_text(path.read_text().replace('\\"-u\\"', '\\"<b>&\\"'))
    (house.dist / "model" / "folder").mkdir()  # so that the notebook is not run
    result = house.rehearse()
    text = [line for line in parsed(result.report).text if line]
    assert text[0] == "Rehearsal failed"
    assert text[1] == "Rehearsal failed"
    assert "What failed: upload, notebook" in text[2]
    assert "folder is a folder" in text[3]
    page = result.report.read_text()
    assert "&lt;b&gt;&amp;" in page
    assert '"<b>&' not in page


@pytest.mark.parametrize("width", [1280, 390])
def test_fits_a_desk_and_a_phone(rehearsed: Rehearsal, shoot: Shoot, width: int) -> None:
    pixels = shoot(rehearsed.report, width)
    assert pixels.shape[1] == width
    ground = pixels[2, 2]
    margins = np.concatenate([pixels[:, :4], pixels[:, -4:]], axis=1)
    assert (margins == ground).all()  # nothing sticks out at the sides
    drawn = (pixels != ground).any(axis=2)
    assert drawn.mean() > 0.2
    # Amber: phantoms are smaller than real images, so the time is not known.
    amber = (pixels.astype(int) - [154, 103, 0]).__abs__().sum(axis=2) < 30
    assert amber[:400].sum() > 200  # the verdict, at the top
