"""A notebook on Kaggle: pushed, confirmed by its text, followed to its end.

The client exits with 0 when a push is refused, and turns the internet on where the metadata says
nothing; so a push counts only when the text that Kaggle holds is the one that was sent.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler import atomic, secrets
from bundler.errors import BundlerError, CheckError
from bundler.publish import client as clients
from bundler.publish.client import Client, KaggleError, Say
from bundler.publish.dataset import ABSENT
from bundler.publish.slugs import Ref

METADATA = "kernel-metadata.json"
IMAGE = re.compile(r"\S+@sha256:[0-9a-f]{64}")
ENDED = ("COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED")
PAUSE = 10.0  # seconds between two looks at a notebook that runs
SETTLING = 60.0  # seconds for which an ended run may be the previous version's
TAIL = 15  # lines of a log that an error repeats


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """A notebook and how it is to run."""

    path: Path
    ref: Ref
    datasets: Sequence[str] = ()
    competitions: Sequence[str] = ()
    kernels: Sequence[str] = ()
    internet: bool = False
    accelerator: str | None = None
    image: str | None = None

    def metadata(self) -> dict[str, Any]:
        """Return what the client reads; nothing is left to its defaults."""
        gpu = bool(self.accelerator) and not str(self.accelerator).lower().startswith("tpu")
        said = {
            "id": str(self.ref),
            "title": self.ref.title,
            "code_file": self.path.name,
            "language": "python",
            "kernel_type": "notebook",
            "is_private": True,
            "enable_internet": self.internet,
            "enable_gpu": gpu,
            "enable_tpu": bool(self.accelerator) and not gpu,
            "dataset_sources": list(self.datasets),
            "competition_sources": list(self.competitions),
            "kernel_sources": list(self.kernels),
            "model_sources": [],
        }
        return (
            said
            | ({"machine_shape": self.accelerator} if self.accelerator else {})
            | ({"docker_image": self.image} if self.image else {})
        )


@dataclass(frozen=True, kw_only=True)
class Version:
    """A notebook's version that Kaggle has taken."""

    ref: Ref
    number: int

    @property
    def url(self) -> str:
        """Return where one watches it."""
        return f"https://www.kaggle.com/code/{self.ref}"


def image(source: str) -> str | None:
    """Return the image that a target was captured in, where it names one by its digest."""
    found = IMAGE.search(source)
    return found[0] if found else None


def push(client: Client, notebook: Notebook) -> Version:
    """Push a notebook and confirm that Kaggle holds this text. Raises KaggleError."""
    text = json.dumps(notebook.metadata(), indent=1) + "\n"
    secrets.check({notebook.path.name: notebook.path.read_bytes()}, "The notebook")
    try:
        atomic.write_text(notebook.path.parent / METADATA, text)
    except OSError as error:
        raise BundlerError(f"{METADATA} cannot be written: {error.strerror}.") from error
    before = current(client, notebook.ref)
    number = _push(client, notebook, before)
    _confirm(client, notebook, number)
    return Version(ref=notebook.ref, number=number)


def _push(client: Client, notebook: Notebook, before: int) -> int:
    """Return the new version's number; a push that got no answer is not made twice."""
    what = f"push {notebook.ref}"
    folder = str(notebook.path.parent)
    for attempt in range(1, clients.ATTEMPTS + 1):
        try:
            answer = client.call(what, lambda: client.api.kernels_push(folder), attempts=1)
            return _accepted(answer, notebook)
        except KaggleError as error:
            arrived = current(client, notebook.ref) if _is_unclear(error) else before
            if arrived > before:
                client.say(f"Kaggle gave no answer, but has taken version {arrived}.")
                return arrived
            if not _is_passing(error) or attempt == clients.ATTEMPTS:
                raise
            client.say(f"{error} Trying again.")
            time.sleep(min(clients.FIRST_DELAY * 2.0 ** (attempt - 1), clients.LONGEST_DELAY))
    raise AssertionError("unreachable")


def _is_unclear(error: KaggleError) -> bool:
    """Say whether the call may have taken effect all the same."""
    return error.status is None or error.status >= 500


def _is_passing(error: KaggleError) -> bool:
    return type(error) is KaggleError and (_is_unclear(error) or error.status == 429)


def _accepted(answer: Any, notebook: Notebook) -> int:
    """Return the version of an answer. Raises for a refusal, which has status 200."""
    if answer is None or answer.error:
        raise KaggleError(
            f"Kaggle refuses the notebook {notebook.ref}: {answer.error if answer else 'no reason'}"
            " (its client calls that a success).",
            status=400,
        )
    problems = {
        "datasets": answer.invalid_dataset_sources,
        "competitions": answer.invalid_competition_sources,
        "notebooks": answer.invalid_kernel_sources,
    }
    for what, names in problems.items():
        if names:
            raise KaggleError(
                f"Kaggle took the notebook {notebook.ref} without the {what} "
                f"{', '.join(names)}: they do not exist, are not yours, or the competition's "
                "rules are not accepted. Publish them first (`rsna-bundle publish`), or accept "
                "the rules.",
                status=400,
            )
    return int(answer.version_number)


def current(client: Client, ref: Ref) -> int:
    """Return the number of a notebook's newest version; 0 where there is no notebook."""
    try:
        return int(_get(client, ref).metadata.current_version_number or 0)
    except KaggleError as error:
        if error.status in ABSENT:
            return 0
        raise


def _get(client: Client, ref: Ref) -> Any:
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelRequest

    request = ApiGetKernelRequest()
    request.user_name, request.kernel_slug = ref.owner, ref.slug
    return client.ask(
        f"read the notebook {ref}", lambda sdk: sdk.kernels.kernels_api_client.get_kernel(request)
    )


def _confirm(client: Client, notebook: Notebook, number: int) -> None:
    held = _get(client, notebook.ref)
    sent = _cells(notebook.path.read_text(encoding="utf-8"))
    problem = None
    if _cells(held.blob.source) != sent:
        problem = "its text is another than the one that was sent"
    elif bool(held.metadata.enable_internet) != notebook.internet:
        problem = f"its internet is {'on' if held.metadata.enable_internet else 'off'}"
    elif (held.metadata.current_version_number or number) != number:
        problem = f"its newest version is {held.metadata.current_version_number}, not {number}"
    elif lacking := set(notebook.datasets) - set(held.metadata.dataset_data_sources or ()):
        problem = f"it lacks {', '.join(sorted(lacking))}"
    if problem:
        raise KaggleError(
            f"Kaggle does not hold the notebook {notebook.ref} as it was pushed: {problem}. "
            "Something else may have changed it; push it again."
        )


def _cells(text: str) -> list[tuple[str, str]]:
    """Return what a notebook's text says, apart from how it is written down."""
    try:
        cells = json.loads(text)["cells"]
        return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, LookupError, TypeError):
        return [("unreadable", text)]


# --- following ---


def follow(client: Client, version: Version, say: Say, limit: float) -> list[str]:
    """Stream a version's log until it has ended; return its lines.

    Raises CheckError where it ends badly, KaggleError where it has not ended after `limit`
    seconds. A stream that breaks is taken up again where it was.
    """
    lines: list[str] = []
    start = time.monotonic()
    began = version.number == 1
    while True:
        status, failure = _status(client, version.ref)
        began = began or status not in ENDED or time.monotonic() > start + SETTLING
        if not began:  # right after a push Kaggle may still speak of the previous version
            time.sleep(PAUSE)
            continue
        before = len(lines)
        for line in _stream(client, version.ref, before):
            lines.append(line)
            say(line)
        if status in ENDED:
            break
        if time.monotonic() > start + limit:
            raise KaggleError(
                f"{version.url} has not ended after {limit / 3600:.1f} hours (it is {status}). "
                "It goes on without this command; `rsna-bundle status` looks again."
            )
        if len(lines) == before:  # the stream lasts as long as the run, once it has begun
            time.sleep(PAUSE)
    if status != "COMPLETE":
        tail = "".join(f"\n  {line}" for line in lines[-TAIL:])
        raise CheckError(
            f"Version {version.number} of {version.ref} ended as {status}: "
            f"{failure or 'Kaggle gives no reason'}. The end of its log:{tail}\n{version.url}"
        )
    return lines


def state(client: Client, ref: Ref) -> str:
    """Return how a notebook's newest run goes, in one word."""
    return _status(client, ref)[0].lower()


def _status(client: Client, ref: Ref) -> tuple[str, str]:
    said = client.call(f"ask how {ref} runs", lambda: client.api.kernels_status(str(ref)))
    return str(said.status.name), str(said.failure_message or "")


def _stream(client: Client, ref: Ref, seen: int) -> Iterator[str]:
    """Yield the log's lines after the first `seen` ones, as far as the stream goes."""
    from requests.exceptions import RequestException

    events = client.api.kernels_logs_stream(str(ref))
    number = 0
    while True:
        try:
            with clients.quietly():
                event = next(events, None)
        except (RequestException, OSError, ValueError):
            return  # the status decides whether there is more, and the log begins anew
        if event is None:
            return
        for line in str(event.get("data") or "").splitlines():
            number += 1
            if number > seen:
                yield line
