"""What one image may cost at most; beyond it stands ImageError, mostly "too-large".

The largest mammograms have 30 million pixels. The limits leave twice that and keep one decode
under 1 GB: OpenJPEG holds 4 bytes per pixel beside the 2 of the result and the compressed file.
"""

MAX_FILE_BYTES = 1 << 28
MAX_PIXELS = 1 << 26
MAX_SIDE = 65_535

# Before the pixel data: headers have a few kilobytes, with private elements a few megabytes.
MAX_HEADER_BYTES = 1 << 23
MAX_META_BYTES = 1 << 16
MAX_STREAM_HEADER_BYTES = 1 << 20
MAX_FRAGMENTS = 1 << 16

# What a JPEG 2000 decoder keeps records of. A mammogram of 30 million pixels has 10,000
# code-blocks of the usual 64×64, and few precincts and tiles.
MAX_TILES = 1 << 13
MAX_PRECINCTS = 1 << 17
MAX_CODE_BLOCKS = 1 << 19
MAX_PACKETS_WALKED = 1 << 14
MAX_CODE_BLOCKS_WALKED = 1 << 15
