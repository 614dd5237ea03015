"""Training: DICOMs to checkpoints."""
