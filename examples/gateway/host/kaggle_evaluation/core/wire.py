"""Python objects as bytes: a letter for the type, then the value.

A float travels in four bytes, as it does at Kaggle: a server gets, and returns, float32.
"""

import io
import json
import struct
from typing import Any

import numpy as np
import pandas as pd
import polars as pl


def pack(value: Any) -> bytes:
    """Return a value as bytes. Raises TypeError for a type that cannot travel."""
    if isinstance(value, np.generic):
        return b"g" + _saved(np.asarray(value))
    if value is None or isinstance(value, bool | int | str):
        return b"j" + json.dumps(value).encode()
    if isinstance(value, float):
        return b"f" + struct.pack("<f", value)
    if isinstance(value, list | tuple):
        return (b"l" if isinstance(value, list) else b"t") + _joined([pack(item) for item in value])
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("A dict travels only if all its keys are text.")
        items = [part for key, item in value.items() for part in (key.encode(), pack(item))]
        return b"d" + _joined(items)
    if isinstance(value, np.ndarray):
        return b"a" + _saved(value)
    if isinstance(value, pl.DataFrame | pl.Series | pd.DataFrame | pd.Series):
        return _table(value)
    raise TypeError(f"{type(value)} cannot be sent.")


def unpack(data: bytes) -> Any:
    """Return the value that `pack` made the bytes of."""
    kind, content = data[:1], data[1:]
    if kind == b"j":
        return json.loads(content)
    if kind == b"f":
        return struct.unpack("<f", content)[0]
    if kind in b"lt":
        items = [unpack(part) for part in _parts(content)]
        return items if kind == b"l" else tuple(items)
    if kind == b"d":
        parts = list(_parts(content))
        return {
            key.decode(): unpack(item) for key, item in zip(parts[::2], parts[1::2], strict=True)
        }
    if kind in b"ga":
        array = np.load(io.BytesIO(content), allow_pickle=False)
        return array[()] if kind == b"g" else array
    table = pl.read_ipc(io.BytesIO(content))
    if kind in b"ps":
        return table if kind == b"p" else table.to_series()
    return table.to_pandas() if kind == b"P" else table.to_pandas().iloc[:, 0]


def _table(value: pl.DataFrame | pl.Series | pd.DataFrame | pd.Series) -> bytes:
    kinds = {pl.DataFrame: b"p", pl.Series: b"s", pd.DataFrame: b"P", pd.Series: b"S"}
    kind = next(letter for known, letter in kinds.items() if isinstance(value, known))
    if isinstance(value, pd.Series):
        value = value.to_frame()
    table = pl.from_pandas(value) if isinstance(value, pd.DataFrame) else pl.DataFrame(value)
    buffer = io.BytesIO()
    table.write_ipc(buffer)
    return kind + buffer.getvalue()


def _saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _joined(parts: list[bytes]) -> bytes:
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def _parts(data: bytes) -> Any:
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        yield data[at + 8 : at + 8 + size]
        at += 8 + size
