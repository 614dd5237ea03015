"""The ground floor: what the submission notebook runs. Imports nothing of bundler or train."""

import os

__version__ = "0.1.0"

# ONNX Runtime (seen in 1.32) reports its use to its maker over the network, and keeps a database
# of it in the home folder. It looks at this variable when it is imported, here and in workers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
