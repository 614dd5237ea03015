"""report.html and rehearsal.json, each written whole or not at all."""

import json

from bundler import atomic
from bundler.rehearse.report import page
from bundler.rehearse.result import Findings, Rehearsal

RESULT = "rehearsal.json"


def write(rehearsal: Rehearsal, findings: Findings) -> None:
    """Write both files where `rehearsal.report` says. Raises OSError."""
    html = page.render(rehearsal, findings.pictures, findings.distribution)
    content = json.dumps(rehearsal.as_dict(), indent=1) + "\n"
    atomic.write_text(rehearsal.report, html)
    atomic.write_text(rehearsal.report.with_name(RESULT), content)
