"""What runs inside a rehearsal's sandbox: how much it counts, and how it ends."""

import subprocess
import sys
from pathlib import Path

from bundler.rehearse.run import supervise


def test_what_is_mounted_in_a_folder_was_not_written_there(tmp_path: Path) -> None:
    (tmp_path / "written").write_bytes(bytes(100))
    image = tmp_path / "cache" / "image"  # the emulated image, where the cache lies below /tmp
    image.mkdir(parents=True)
    (image / "python").write_bytes(bytes(1000))
    assert supervise.used(str(tmp_path), []) == 1100
    assert supervise.used(str(tmp_path), [str(image)]) == 100


def test_a_server_is_ended_by_a_file_and_its_driver_saves_first(tmp_path: Path) -> None:
    """What serves is the driver's child; when it is killed, the driver writes what it has."""
    driver = (
        "import pathlib, subprocess, sys\n"
        "code = \"import pathlib, time; pathlib.Path('stop').touch(); time.sleep(600)\"\n"
        "subprocess.call([sys.executable, '-c', code])\n"
        "pathlib.Path('saved').touch()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", driver], cwd=tmp_path)
    assert supervise.wait_or_end(process, str(tmp_path / "stop")) == 0
    assert (tmp_path / "saved").exists()
