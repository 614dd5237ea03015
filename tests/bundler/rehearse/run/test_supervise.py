"""What runs inside a rehearsal's sandbox: how much it counts, and how it ends."""

from pathlib import Path

from bundler.rehearse.run import supervise


def test_what_is_mounted_in_a_folder_was_not_written_there(tmp_path: Path) -> None:
    (tmp_path / "written").write_bytes(bytes(100))
    image = tmp_path / "cache" / "image"  # the emulated image, where the cache lies below /tmp
    image.mkdir(parents=True)
    (image / "python").write_bytes(bytes(1000))
    assert supervise.used(str(tmp_path), []) == 1100
    assert supervise.used(str(tmp_path), [str(image)]) == 100
