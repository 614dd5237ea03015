"""From the laptop to Kaggle: datasets, notebooks, submissions, each step proven."""
