"""What one image may cost at most; beyond it stands `ImageError("too-large")`.

The largest mammograms have 30 million pixels. The limits leave twice that and keep one decode
under 1 GB: OpenJPEG holds 4 bytes per pixel beside the 2 of the result and the compressed file.
"""

MAX_FILE_BYTES = 1 << 28
MAX_PIXELS = 1 << 26
MAX_SIDE = 65_535
