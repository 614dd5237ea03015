"""From requirements to one wheel for each package."""
