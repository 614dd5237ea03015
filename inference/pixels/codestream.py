"""Signs of damage in a JPEG 2000 codestream, as far as they show without decoding it anew.

The coder's bits have no redundancy: where one has changed, no decoder can tell. But a stream says
how long it is, and a coder writes neither markers nor long runs of zeros (ISO/IEC 15444-1, A.4.2,
B.10.1, C.2.7). Of a file that is read in part, only that part and its end are looked at.
"""

import re
import struct
from collections.abc import Iterator

from inference.pixels import jpeg2000
from inference.pixels.frame import Frame
from inference.pixels.integrity import judge_behind
from inference.pixels.jpeg2000 import Codestream

SOT_LENGTH = 12
SECTOR = 512  # bytes; what disks and file systems lose at once is a multiple of it
SOT = struct.pack(">H", jpeg2000.SOT)
SOD = struct.pack(">H", jpeg2000.SOD)
END = struct.pack(">H", jpeg2000.EOC)
MARKER = re.compile(rb"\xff[\x90-\xff]")
MARKER_BUT_SOP_EPH = re.compile(rb"\xff[\x90\x93-\xff]")
# Coding that may write bits as they are, whatever they are (Table A.19): bypass, high throughput.
RAW_BITS = 0x01 | 0x40
# Zero bytes in a row that are too many. The arithmetic coder's output looks random: of real
# pictures the longest run has 4. Of a chequerboard that repeats exactly it may have hundreds.
ZEROS = 128
ZEROS_OF_RAW_BITS = 384  # real pictures have up to 51
MOST_ZEROS = 4096  # where so many packets may be empty, runs are not looked for at the end


def judge_whole(stream: Codestream, frame: Frame) -> tuple[str, ...]:
    """Return what is wrong with a stream that is decoded in full."""
    signs = judge_length(stream, frame) + judge_packets(stream, bytes(frame.whole()))
    return tuple(dict.fromkeys(signs))


def judge_view(stream: Codestream, frame: Frame, view: bytes) -> tuple[str, ...]:
    """Return what is wrong with a stream of which only `view`, made of its head, is decoded."""
    start = next((first for first, _ in _bodies(stream, bytes(frame.head(4096)))), stream.end)
    # A lost sector that begins in what was read is seen whole.
    data = bytes(frame.head(start + len(view) + SECTOR))
    signs = judge_length(stream, frame) + judge_packets(stream, data)
    return tuple(dict.fromkeys(signs))


def judge_length(stream: Codestream, frame: Frame) -> tuple[str, ...]:
    """Return what is wrong with the lengths of the tile parts in a frame, and with its end.

    Of a stream in one tile part, a few hundred bytes at its end are read for that.
    """
    position = stream.end
    while (head := frame.peek(position, position + SOT_LENGTH))[:2] != END:
        if head[:2] != SOT or len(head) < SOT_LENGTH:
            return ("it neither ends nor goes on where its tile part ends",)
        extent = int.from_bytes(head[6:10], "big")
        if not extent:  # up to the end of the stream, which may be followed by one byte
            tail = frame.peek(max(position, frame.size - SECTOR), frame.size)
            behind = len(tail) - tail.rfind(END) - len(END)
            return judge_behind(behind) if END in tail else ("its stream has no end",)
        position += max(extent, SOT_LENGTH)
        if position + len(END) > frame.size:
            lacking = position + len(END) - frame.size
            return (f"its stream is {lacking} bytes shorter than it says",)
    signs = judge_behind(frame.size - position - len(END))
    return signs + _judge_tail(stream, frame, position)


def _judge_tail(stream: Codestream, frame: Frame, end: int) -> tuple[str, ...]:
    """Return what is wrong with the packets right before `end`."""
    count = _zeros(stream)
    if count > MOST_ZEROS or end - count < stream.end:
        return ()
    return () if any(frame.peek(end - count, end)) else ("its last packets are zeros",)


def judge_packets(stream: Codestream, data: bytes) -> tuple[str, ...]:
    """Return what no coder writes among the packets in the first bytes of a stream."""
    marker = MARKER_BUT_SOP_EPH if stream.uses_sop or stream.uses_eph else MARKER
    zeros = bytes(_zeros(stream))
    signs = []
    for start, stop in _bodies(stream, data):
        if marker.search(data, start, stop):
            signs.append("there are markers among its packets")
        if data.find(zeros, start, stop) >= 0:
            signs.append("its packets hold more zeros than a coder writes")
    return tuple(signs)


def _zeros(stream: Codestream) -> int:
    """Return how many zero bytes in a row are too many.

    An empty packet may be a byte of zero bits (B.10.3), and there are at most so many in a tile.
    """
    packets = stream.layers * (sum(stream.precinct_counts()) + stream.levels + 1)
    return packets + (ZEROS_OF_RAW_BITS if stream.block_style & RAW_BITS else ZEROS)


def _bodies(stream: Codestream, data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the packets of each tile part lie, as far as the tile parts make sense."""
    position = stream.end
    while position + SOT_LENGTH <= len(data):
        head = data[position : position + SOT_LENGTH]
        extent = int.from_bytes(head[6:10], "big")
        if head[:2] != SOT:
            return
        stop = position + extent if extent else len(data) - len(END)
        start = position + SOT_LENGTH
        while (segment := data[start : start + 4])[:2] != SOD:
            if len(segment) < 4 or start >= stop:
                return
            start += 2 + max(2, int.from_bytes(segment[2:], "big"))
        yield start + 2, min(stop, len(data))
        position = max(stop, start + 2)
