"""wheelhouse.txt → lock → wheels → bundle: the packages that the notebook's image lacks."""
