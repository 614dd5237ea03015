"""`python -m bundler.cli`: the command line without its script."""

from bundler.cli import main

main()
