"""An ONNX file of the user's own, made into one that the runner takes.

reading (what its inputs and outputs are) → wrapping (our inputs before it, our outputs behind it)
→ origin (what it answers by itself, to compare with).
"""
