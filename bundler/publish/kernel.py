"""A notebook on Kaggle: pushed, confirmed by its text, followed to its end.

The client exits with 0 when a push is refused, and turns the internet on unless the metadata turns
it off; so a push counts only when Kaggle holds the very text that was sent.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler import atomic
from bundler.errors import BundlerError, CheckError
from bundler.publish import accelerators, failures
from bundler.publish import client as clients
from bundler.publish.client import Client
from bundler.publish.dataset import ABSENT
from bundler.publish.failures import KaggleError
from bundler.publish.plain import plain
from bundler.publish.slugs import Ref
from bundler.result import Json
from bundler.secrets.check import FROM_NOTEBOOK, check_files

METADATA = "kernel-metadata.json"
IMAGE = re.compile(r"\S+@sha256:[0-9a-f]{64}")
LATEST = "latest"  # instead of an image's digest
ENDED = ("COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED")
PAUSE = 10.0  # seconds between two checks of a running notebook
SETTLING = 60.0  # seconds during which Kaggle may still report the previous version's run
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

    def metadata(self) -> dict[str, Json]:
        """Return what the client reads; nothing is left to its defaults."""
        gpu = bool(self.accelerator) and not str(self.accelerator).lower().startswith("tpu")
        metadata: dict[str, Json] = {
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
        if self.accelerator:
            metadata["machine_shape"] = self.accelerator
        if self.image:
            metadata |= pinned(self.image)
        return metadata


@dataclass(frozen=True, kw_only=True)
class Held:
    """What Kaggle holds of a notebook; `version` is 0 where it does not say."""

    version: int
    text: str
    internet: bool
    datasets: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Version:
    """A notebook's version that Kaggle accepted."""

    ref: Ref
    number: int

    @property
    def url(self) -> str:
        """Return the address of its page."""
        return f"https://www.kaggle.com/code/{self.ref}"


def pinned(image: str) -> dict[str, Json]:
    """Return how the metadata ask for an image: by its digest, or for the newest one."""
    if image == LATEST:
        return {"docker_image_pinning_type": "latest"}
    return {"docker_image": image, "docker_image_pinning_type": "original"}


def image(source: str) -> str | None:
    """Return the image that a target was captured in, if it is named by its digest."""
    match = IMAGE.search(source)
    return match[0] if match else None


def push(client: Client, notebook: Notebook) -> Version:
    """Push a notebook and confirm that Kaggle holds this text. Raises KaggleError."""
    accelerators.check(notebook.accelerator or "", client.progress)
    client.progress.step(f"Pushing {notebook.ref}")
    text = json.dumps(notebook.metadata(), indent=1) + "\n"
    files = {notebook.path.name: notebook.path.read_bytes(), METADATA: text.encode()}
    check_files(files, "The notebook", FROM_NOTEBOOK, client.progress)
    try:
        atomic.write_text(notebook.path.parent / METADATA, text)
    except OSError as error:
        raise BundlerError(f"{METADATA} cannot be written: {error.strerror}.") from error
    before = current(client, notebook.ref)
    number = _push(client, notebook, before)
    _confirm(client, notebook, number)
    return Version(ref=notebook.ref, number=number)


def _push(client: Client, notebook: Notebook, before: int) -> int:
    """Return the new version's number; a push without a response is not made twice."""
    action = f"push {notebook.ref}"
    folder = str(notebook.path.parent)
    for attempt in range(1, failures.ATTEMPTS + 1):
        try:
            answer = client.call(action, lambda: client.api.kernels_push(folder), attempts=1)
            return _accepted(answer, notebook)
        except KaggleError as error:
            arrived = current(client, notebook.ref) if _is_unclear(error) else before
            if arrived > before:
                client.progress.warn(f"Kaggle did not respond, but has version {arrived}.")
                return arrived
            if not _is_transient(error) or attempt == failures.ATTEMPTS:
                raise
            client.progress.warn(f"{error} Trying again.")
            time.sleep(min(failures.FIRST_DELAY * 2.0 ** (attempt - 1), failures.LONGEST_DELAY))
    raise AssertionError("unreachable")


def _is_unclear(error: KaggleError) -> bool:
    """Return whether the call may have taken effect all the same."""
    return error.status is None or error.status >= 500


def _is_transient(error: KaggleError) -> bool:
    return type(error) is KaggleError and (_is_unclear(error) or error.status == 429)


def _accepted(answer: Any, notebook: Notebook) -> int:
    """Return an answer's version number. Raises for a refusal, which comes with status 200."""
    if answer is None or answer.error:
        raise KaggleError(
            f"Kaggle refused the notebook {notebook.ref}: "
            f"{answer.error if answer else 'no reason given'}",
            status=400,
        )
    problems = {
        "datasets": answer.invalid_dataset_sources,
        "competitions": answer.invalid_competition_sources,
        "notebooks": answer.invalid_kernel_sources,
    }
    for kind, names in problems.items():
        if names:
            raise KaggleError(
                f"Kaggle accepted the notebook {notebook.ref} without the {kind} "
                f"{', '.join(names)}: they do not exist, are not yours, or the competition's "
                "rules are not accepted. Publish them first with `rsna-bundle publish`, or accept "
                "the rules.",
                status=400,
            )
    return int(answer.version_number)


def current(client: Client, ref: Ref) -> int:
    """Return the number of a notebook's newest version; 0 if there is no notebook."""
    try:
        return _get(client, ref).version
    except KaggleError as error:
        if error.status in ABSENT:
            return 0
        raise


def _get(client: Client, ref: Ref) -> Held:
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelRequest

    request = ApiGetKernelRequest()
    request.user_name, request.kernel_slug = ref.owner, ref.slug
    answer = client.ask(
        f"read the notebook {ref}", lambda sdk: sdk.kernels.kernels_api_client.get_kernel(request)
    )
    about = answer.metadata
    return Held(
        version=int(about.current_version_number or 0),
        text=str(answer.blob.source),
        internet=bool(about.enable_internet),
        datasets=frozenset(map(str, about.dataset_data_sources or ())),
    )


def _confirm(client: Client, notebook: Notebook, number: int) -> None:
    held = _get(client, notebook.ref)
    sent = _cells(notebook.path.read_text(encoding="utf-8"))
    problem = None
    if _cells(held.text) != sent:
        problem = "its text differs from what was sent"
    elif held.internet != notebook.internet:
        problem = f"its internet is {'on' if held.internet else 'off'}"
    elif (held.version or number) != number:
        problem = f"its newest version is {held.version}, not {number}"
    elif missing := set(notebook.datasets) - held.datasets:
        problem = f"it lacks {', '.join(sorted(missing))}"
    if problem:
        raise KaggleError(
            f"Kaggle does not hold the notebook {notebook.ref} as it was pushed: {problem}. "
            "Something else may have changed it. Push it again."
        )


def _cells(text: str) -> list[tuple[str, str]]:
    """Return the cells of a notebook's text, whatever its JSON looks like."""
    try:
        cells = json.loads(text)["cells"]
        return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, LookupError, TypeError):
        return [("unreadable", text)]


# --- following ---


def follow(client: Client, version: Version, limit: float) -> list[str]:
    """Stream a version's log until it ends; return its lines.

    Raises CheckError if it fails, KaggleError if it has not ended after `limit` seconds. A stream
    that breaks is continued where it broke.
    """
    client.progress.step(f"Running version {version.number} of {version.ref}: {version.url}")
    lines: list[str] = []
    start = time.monotonic()
    began = version.number == 1
    while True:
        status, failure = _status(client, version.ref)
        began = began or status not in ENDED or time.monotonic() > start + SETTLING
        if not began:  # right after a push, Kaggle may still report the previous version
            time.sleep(PAUSE)
            continue
        before = len(lines)
        for line in _stream(client, version.ref, before):
            lines.append(line)
            client.progress.note(line)
        if status in ENDED:
            break
        if time.monotonic() > start + limit:
            raise KaggleError(
                f"{version.url} has not ended after {limit / 3600:.1f} hours (its status is "
                f"{status}). It goes on without this command; `rsna-bundle status` shows how."
            )
        if len(lines) == before:  # the stream lasts as long as the run, once it has begun
            time.sleep(PAUSE)
    if status != "COMPLETE":
        tail = "".join(f"\n  {line}" for line in lines[-TAIL:])
        raise CheckError(
            f"Version {version.number} of {version.ref} ended as {status}: "
            f"{failure or 'Kaggle gives no reason'}. The last lines of its log:{tail}\n"
            f"{version.url}"
        )
    return lines


def state(client: Client, ref: Ref) -> str:
    """Return the status of a notebook's newest run, in one word."""
    return _status(client, ref)[0].lower()


def _status(client: Client, ref: Ref) -> tuple[str, str]:
    answer = client.call(f"get the status of {ref}", lambda: client.api.kernels_status(str(ref)))
    return str(answer.status.name), plain(str(answer.failure_message or ""))


def _stream(client: Client, ref: Ref, seen: int) -> Iterator[str]:
    """Yield the log's lines after the first `seen` ones, until the stream ends or breaks."""
    from requests.exceptions import RequestException

    events = client.api.kernels_logs_stream(str(ref))
    number = 0
    while True:
        try:
            with clients.quietly():
                event = next(events, None)
        except (RequestException, OSError, ValueError):
            return  # the status tells whether there is more; the next stream begins anew
        if event is None:
            return
        for line in plain(str(event.get("data") or "")).splitlines():
            number += 1
            if number > seen:
                yield line
