"""Checkpoints → ONNX. The only place of the bundler that imports torch."""
