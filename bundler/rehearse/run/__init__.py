"""The notebook's run in a sandbox that is laid out as on Kaggle."""
