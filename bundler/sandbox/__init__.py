"""Run a command cut off from the network, from files and from rights."""
