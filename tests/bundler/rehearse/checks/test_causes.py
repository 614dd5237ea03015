"""Why a run failed, by what it printed: the last error counts, not what was survived before it."""

import pytest

from bundler.rehearse.checks.causes import explain, last_error
from bundler.rehearse.checks.missing import Surroundings

SURROUNDINGS = Surroundings(working="20 GB", mounts=("/kaggle/input/competitions/x",))
DOWNLOAD = """\
Downloading https://huggingface.co/timm/x failed: Temporary failure in name resolution
Traceback (most recent call last):
  File "/kaggle/working/tree/net.py", line 3, in make
    model = timm.create_model(name, pretrained=True)
LocalEntryNotFoundError: cannot find the requested files on the hub
using random weights
"""
MISSING = """\
Traceback (most recent call last):
  File "/kaggle/working/tree/submit.py", line 9, in <module>
    model = load(path, pretrained=False)
FileNotFoundError: [Errno 2] No such file or directory: '/kaggle/input/competitions/x/a.png'
error: The command ended with exit code 1. Its last lines:
  FileNotFoundError: [Errno 2] No such file or directory: '/kaggle/input/competitions/x/a.png'
"""
CHAIN = """\
Traceback (most recent call last):
  File "hub.py", line 1, in get
OSError: [Errno -3] Temporary failure in name resolution

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "hub.py", line 2, in load_state_dict_from_url
RuntimeError: cannot load
"""


def test_the_last_traceback_counts_not_what_was_survived_before() -> None:
    assert "downloads a pretrained model" in str(explain(DOWNLOAD, SURROUNDINGS))
    assert explain(DOWNLOAD + MISSING, SURROUNDINGS) is None
    assert MISSING.startswith(last_error(DOWNLOAD + MISSING))


def test_a_word_in_the_code_is_no_download() -> None:
    assert explain(MISSING, SURROUNDINGS) is None


def test_what_led_to_the_last_error_belongs_to_it() -> None:
    assert last_error(DOWNLOAD + CHAIN) == CHAIN
    assert "downloads a pretrained model" in str(explain(CHAIN, SURROUNDINGS))


def test_a_file_missing_below_the_hubs_code_is_no_download() -> None:
    log = MISSING.replace("submit.py", "huggingface_hub/file_download.py in hf_hub_download")
    assert explain(log, SURROUNDINGS) is None


@pytest.mark.parametrize("log", ["exit code 6", "x\nKernel died"])
def test_without_a_traceback_the_whole_log_counts(log: str) -> None:
    assert explain(log, SURROUNDINGS)


def test_the_disk_is_named_with_its_size() -> None:
    assert "holds 20 GB" in str(
        explain(f"{DOWNLOAD}{MISSING}No space left on device", SURROUNDINGS)
    )
