"""Keys and tokens that must not leave this machine: a bundle is seen by whoever sees the dataset.

`check` refuses; `scan` reads bytes of any kind; `unpack` opens archives and texts of other
encodings; `rules` and `filenames` say what a secret looks like, `values` which ones this machine
has.
"""
