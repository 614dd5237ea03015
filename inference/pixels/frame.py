"""The bytes of the one frame in the Pixel Data, encapsulated or not."""

from dataclasses import dataclass

from inference.pixels.errors import ImageError
from inference.pixels.header import Header
from inference.pixels.limits import MAX_FRAGMENTS
from inference.pixels.source import Source

ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where the frame lies in the file: one range of bytes for each fragment (PS3.5 A.4)."""

    source: Source
    ranges: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Return the number of bytes in the frame."""
        return sum(stop - start for start, stop in self.ranges)

    def head(self, count: int) -> memoryview | bytes:
        """Return the first `count` bytes, fewer where the frame is shorter."""
        if len(self.ranges) == 1:
            start, stop = self.ranges[0]
            return self.source.view(start, min(start + count, stop))
        parts = []
        for start, stop in self.ranges:
            part = bytes(self.source.view(start, min(start + count, stop)))
            parts.append(part)
            count -= len(part)
            if count <= 0:
                break
        return b"".join(parts)

    def peek(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop`, fewer at the end, without fetching what lies before."""
        parts, before = [], 0
        for first, last in self.ranges:
            begin, end = first + max(0, start - before), first + min(last - first, stop - before)
            if begin < end:
                parts.append(self.source.peek(begin, end))
            before += last - first
        return b"".join(parts)

    def whole(self) -> memoryview | bytes:
        """Return all bytes of the frame."""
        return self.head(self.size)


def find_frame(source: Source, header: Header) -> Frame:
    """Locate the frame; ImageError("truncated") where the file ends before it does."""
    if header.length is not None:
        stop = header.offset + header.length
        if stop > source.size:
            raise _truncated(source, stop)
        return Frame(source=source, ranges=((header.offset, stop),))
    position = _skip_offset_table(source, header.offset)
    ranges = []
    while (head := source.peek(position, position + 8))[:4] == ITEM and len(head) == 8:
        length = int.from_bytes(head[4:], "little")
        if position + 8 + length > source.size:
            raise _truncated(source, position + 8 + length)
        ranges.append((position + 8, position + 8 + length))
        if len(ranges) > MAX_FRAGMENTS:
            raise ImageError("corrupt", f"{source.name}: more than {MAX_FRAGMENTS} fragments.")
        position += 8 + length
    if not ranges:
        raise ImageError("no-pixels", f"{source.name}: the Pixel Data hold no fragment.")
    return Frame(source=source, ranges=tuple(ranges))


def _skip_offset_table(source: Source, position: int) -> int:
    """Return where the item after the Basic Offset Table begins; with one frame it says nothing."""
    head = bytes(source.view(position, position + 8))
    if len(head) < 8:
        raise _truncated(source, position + 8)
    if head[:4] != ITEM:
        raise ImageError("corrupt", f"{source.name}: the Pixel Data do not begin with an item.")
    return position + 8 + int.from_bytes(head[4:], "little")


def _truncated(source: Source, wanted: int) -> ImageError:
    return ImageError(
        "truncated",
        f"{source.name} has {source.size} bytes and should have {wanted} or more: it was cut "
        "short on its way; copy or download it again.",
    )
