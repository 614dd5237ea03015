"""What every competition shares: the connection, and the classes that a host derives from."""
