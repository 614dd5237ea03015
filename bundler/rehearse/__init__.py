"""The rehearsal: run the notebook here as Kaggle will, check it, project it, report.

`bundler.rehearse.rehearsal.run` does it all; the subpackages are its steps.
"""
