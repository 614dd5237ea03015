"""The package of the development machine: builds, publishes and rehearses the bundles."""
