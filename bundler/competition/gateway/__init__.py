"""Competitions whose rows a gateway hands over, through the package kaggle_evaluation."""
