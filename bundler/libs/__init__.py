"""wheelhouse.txt → lock → wheels → proof."""
