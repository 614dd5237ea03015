"""The smallest DICOM file around a frame, for decoders that only open files."""

import struct


def wrap(stream: bytes | memoryview, syntax: str, rows: int, columns: int, precision: int) -> bytes:
    """Return a file of Explicit VR Little Endian elements (PS3.5 7.1.2) with one fragment."""
    allocated = 8 if precision <= 8 else 16
    meta = _element(0x0002, 0x0010, b"UI", syntax.encode())
    padding = b"\0" * (len(stream) % 2)
    return b"".join(
        [
            bytes(128) + b"DICM",
            _element(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta))),
            meta,
            _element(0x0028, 0x0002, b"US", struct.pack("<H", 1)),
            _element(0x0028, 0x0004, b"CS", b"MONOCHROME2 "),
            _element(0x0028, 0x0010, b"US", struct.pack("<H", rows)),
            _element(0x0028, 0x0011, b"US", struct.pack("<H", columns)),
            _element(0x0028, 0x0100, b"US", struct.pack("<H", allocated)),
            _element(0x0028, 0x0101, b"US", struct.pack("<H", precision)),
            _element(0x0028, 0x0102, b"US", struct.pack("<H", precision - 1)),
            _element(0x0028, 0x0103, b"US", struct.pack("<H", 0)),
            struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF),
            b"\xfe\xff\x00\xe0" + bytes(4),
            b"\xfe\xff\x00\xe0" + struct.pack("<I", len(stream) + len(padding)),
            stream,
            padding + b"\xfe\xff\xdd\xe0" + bytes(4),
        ]
    )


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value
