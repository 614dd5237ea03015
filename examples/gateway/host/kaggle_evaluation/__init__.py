"""A phantom of the package that comes with a competition's data, written from its protocol.

It stands for Kaggle's own: the same classes and the same behaviour on the rerun, other code and
another form on the wire. `core` serves any competition; the two modules beside it are this one's.
"""

__version__ = "1.4.0+phantom"
