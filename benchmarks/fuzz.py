"""`python -m benchmarks fuzz`: broken DICOM files by the thousand, through the runner's workers.

Each file is a valid one of some transfer syntax, damaged: bits flipped, cut off, lengths and
sizes replaced, blocks repeated or zeroed, garbage in its fragments. A file may be refused, and it
may be read; what counts is that no worker crashes, none takes too long, and that memory stays
within its bound. Files that break this are kept.
"""

import argparse
import io
import json
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS
from inference.workers import Task, Workers, load_all
from train.phantom import JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1, draw, write_dicom

SECONDS_PER_IMAGE = 10.0
MOST_BYTES = 1_500_000_000  # of a worker
LARGEST_SEED = 200_000  # bytes of a file of pydicom-data that is damaged, so that many are tried
FINDINGS = ("crashed", "timeout")
SIZES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print what became of the files, and return 1 where a worker was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), metavar="DIR")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    said = fuzz(options.files, options.workers, options.seed, options.keep)
    if options.as_json:
        print(json.dumps(said, indent=2))
    else:
        outcomes = ", ".join(f"{name} {count}" for name, count in said["outcomes"].items())
        print(
            f"{said['files']} damaged files of {said['seeds']} valid ones: {outcomes}\n"
            f"{said['findings']} findings; slowest {said['slowest_seconds']:.2f} s, largest worker "
            f"{said['peak_rss_bytes'] / 1e6:.0f} MB, {said['seconds']:.0f} s in all"
        )
    return int(said["findings"] > 0 or said["peak_rss_bytes"] > MOST_BYTES)


def fuzz(files: int, workers: int, seed: int, keep: Path) -> dict[str, object]:
    """Load `files` damaged files and return what became of them."""
    configs = (PRESETS["baseline-512"], PRESETS["roi-1024x512"])
    outcomes: Counter[str] = Counter()
    slowest, start = 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Workers(workers, SECONDS_PER_IMAGE) as pool:
        valid = seeds(Path(folder))

        def tasks() -> Iterator[Task]:
            for key in range(files):
                path = Path(folder) / f"{key}.dcm"
                path.write_bytes(damage(random.Random(f"{seed}-{key}"), valid))
                yield Task(key=key, path=path, configs=configs)

        for result in load_all(pool, tasks()):
            path = Path(folder) / f"{result.key}.dcm"
            if isinstance(result.loaded, ImageError):
                kind: str = result.loaded.kind
            else:
                kind = "read"
                slowest = max(slowest, sum(result.loaded.seconds.values()))
            outcomes[kind] += 1
            if kind in FINDINGS:
                keep.mkdir(exist_ok=True)
                (keep / f"{kind}-{seed}-{result.key}.dcm").write_bytes(path.read_bytes())
                print(f"{keep}/{kind}-{seed}-{result.key}.dcm: {result.loaded}", file=sys.stderr)
            path.unlink()
        peak = pool.peak_rss
    return {
        "files": files,
        "seeds": len(valid),
        "outcomes": dict(outcomes.most_common()),
        "findings": sum(outcomes[kind] for kind in FINDINGS),
        "slowest_seconds": slowest,
        "peak_rss_bytes": peak,
        "seconds": time.perf_counter() - start,
    }


# --- valid files ---


def seeds(folder: Path) -> list[bytes]:
    """Return small valid files: phantoms of the usual syntaxes, and real files of pydicom-data."""
    pixels = draw(1, (160, 120))
    files = []
    for syntax in (JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1, "1.2.840.10008.1.2.1"):
        write_dicom(folder / "seed.dcm", pixels, transfer_syntax=syntax)
        files.append((folder / "seed.dcm").read_bytes())
    plain = pydicom.dcmread(folder / "seed.dcm")
    for uid in (
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
    ):
        files.append(_transcode(plain, uid, folder))
    return [data for data in (*files, *_real_files()) if _is_readable(data)]


def _is_readable(data: bytes) -> bool:
    try:
        load(io.BytesIO(data), [PRESETS["baseline-512"]])
    except ImageError:
        return False  # colour, or several frames: damage would not get far
    return True


def _transcode(plain: pydicom.Dataset, uid: str, folder: Path) -> bytes:
    dataset = pydicom.dcmread(folder / "seed.dcm")
    if uid == RLELossless:
        dataset.compress(RLELossless, plain.pixel_array, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = uid
    if uid == ExplicitVRBigEndian:
        dataset.PixelData = plain.pixel_array.astype(">u2").tobytes()
        dataset["PixelData"].VR = "OW"
    path = folder / "transcoded.dcm"
    pydicom.dcmwrite(
        path,
        dataset,
        implicit_vr=uid == ImplicitVRLittleEndian,
        little_endian=uid != ExplicitVRBigEndian,
        force_encoding=True,  # pydicom would refuse to change the byte order of a data set
    )
    return path.read_bytes()


def _real_files() -> list[bytes]:
    files = metadata.files("pydicom-data") or []
    paths = [Path(str(file.locate())) for file in files if file.name.lower().endswith(".dcm")]
    return [path.read_bytes() for path in paths if path.stat().st_size < LARGEST_SEED]


# --- damage ---


def damage(rng: random.Random, valid: Sequence[bytes]) -> bytes:
    """Return one of the valid files with one to four kinds of damage."""
    data = bytearray(rng.choice(valid))
    for _ in range(rng.randint(1, 4)):
        rng.choice(DAMAGES)(rng, data)
        if not data:
            return bytes(data)
    return bytes(data)


def _place(rng: random.Random, data: bytearray, room: int = 1) -> int:
    """Return an offset: half the time in the header, where the damage tells most."""
    end = max(1, len(data) - room)
    return rng.randrange(min(end, 2000)) if rng.random() < 0.5 else rng.randrange(end)


def flip_bits(rng: random.Random, data: bytearray) -> None:
    """Flip a few bits."""
    for _ in range(rng.randint(1, 20)):
        data[_place(rng, data)] ^= 1 << rng.randrange(8)


def cut(rng: random.Random, data: bytearray) -> None:
    """Cut the file off."""
    del data[_place(rng, data) :]


def replace_number(rng: random.Random, data: bytearray) -> None:
    """Write an extreme 16- or 32-bit number somewhere: a length, an offset, a marker."""
    form = rng.choice(("<H", "<I", ">H", ">I"))
    number = rng.choice(SIZES) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF)
    place = _place(rng, data, 4)
    data[place : place + struct.calcsize(form)] = struct.pack(form, number)


def replace_dimension(rng: random.Random, data: bytearray) -> None:
    """Give Rows, Columns, a bit depth or the number of frames another value, explicit or not."""
    tag = rng.choice((0x0010, 0x0011, 0x0100, 0x0101, 0x0102, 0x0103, 0x0002, 0x0008))
    place = data.find(struct.pack("<HH", 0x0028, tag))
    if place >= 0:
        number = rng.choice((0, 1, 2, 7, 17, 33, 255, 4096, 65534, 65535))
        data[place + 8 : place + 10] = struct.pack("<H", number)


def replace_stream_size(rng: random.Random, data: bytearray) -> None:
    """Give a JPEG or JPEG 2000 stream's own header another size: a decompression bomb."""
    for marker, offset in ((b"\xff\x51", 6), (b"\xff\xc3", 5), (b"\xff\xc0", 5), (b"\xff\xf7", 5)):
        place = data.find(marker)
        if place >= 0:
            width = 4 if marker == b"\xff\x51" else 2
            number = rng.choice((0, 1, 65535, (1 << 31) - 1, (1 << 32) - 1)) % (1 << 8 * width)
            where = place + offset + width * rng.randrange(2)
            data[where : where + width] = number.to_bytes(width, "big")
            return


def garble(rng: random.Random, data: bytearray) -> None:
    """Fill a block with noise or zeros."""
    place, length = _place(rng, data), rng.choice((16, 256, 4096))
    noise = rng.randbytes(length) if rng.random() < 0.5 else bytes(length)
    data[place : place + length] = noise[: len(data) - place]


def repeat(rng: random.Random, data: bytearray) -> None:
    """Insert a block a second time: nested items, fragments that go on."""
    place, length = _place(rng, data), rng.choice((8, 64, 1024))
    data[place:place] = data[place : place + length] * rng.choice((1, 1, 50))


def drop(rng: random.Random, data: bytearray) -> None:
    """Leave a block out."""
    place = _place(rng, data)
    del data[place : place + rng.choice((1, 8, 200))]


DAMAGES = (
    flip_bits,
    cut,
    replace_number,
    replace_dimension,
    replace_stream_size,
    garble,
    repeat,
    drop,
)
