"""RSNA screening mammography: its hidden test set, its awkward files, its predictions."""
