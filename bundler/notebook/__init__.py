"""The notebooks: submission and training."""
