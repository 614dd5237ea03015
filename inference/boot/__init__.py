"""What runs before the wheels are installed: the standard library only."""
