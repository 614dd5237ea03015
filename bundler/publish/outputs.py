"""The output files of a notebook's run on Kaggle, each downloaded whole or not at all."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundler.errors import InputError
from bundler.publish.client import Client
from bundler.publish.dataset import ABSENT
from bundler.publish.failures import KaggleError
from bundler.publish.kernel import Version
from bundler.publish.slugs import Ref
from inference.boot.manifest import is_safe


def fetch(client: Client, version: Version, folder: Path, pattern: str = "") -> list[Path]:
    """Download a version's output files whose names match into a folder. Raises InputError."""
    client.progress.step(f"Downloading the output of {version.ref}")
    paths = []
    for name, url in _outputs(client, version.ref):
        if not re.search(pattern, name):
            continue
        if not is_safe(name):
            raise InputError(f"{version.ref} has an output file with an unsafe name: {name!r}.")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        get = functools.partial(_download, url, target)
        client.call(f"download {name} of {version.ref}", get)
        paths.append(target)
    return paths


def read(client: Client, ref: Ref, name: str) -> bytes | None:
    """Return one small output file of a notebook's newest version, or None if it has none."""
    try:
        listed = dict(_outputs(client, ref))
    except KaggleError as error:
        if error.status in ABSENT:
            return None
        raise
    if name not in listed:
        return None
    return client.call(f"download {name} of {ref}", lambda: bytes(_get_url(listed[name]).content))


def _outputs(client: Client, ref: Ref) -> Iterator[tuple[str, str]]:
    from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest

    request = ApiListKernelSessionOutputRequest()
    request.user_name, request.kernel_slug, request.page_size = ref.owner, ref.slug, 200
    while True:
        page = client.ask(
            f"list the output files of {ref}",
            lambda sdk: sdk.kernels.kernels_api_client.list_kernel_session_output(request),
        )
        yield from ((str(file.file_name), str(file.url)) for file in page.files or ())
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _get_url(url: str) -> Any:
    import requests

    response = requests.get(url, stream=True)
    response.raise_for_status()
    return response


def _download(url: str, target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    response = _get_url(url)
    expected = response.headers.get("Content-Length")
    with partial.open("wb") as stream:
        for chunk in response.iter_content(1 << 20):
            stream.write(chunk)
    if expected and not response.headers.get("Content-Encoding"):
        size = partial.stat().st_size
        if size != int(expected):
            raise ConnectionError(f"{size} of {expected} bytes arrived")
    partial.replace(target)
