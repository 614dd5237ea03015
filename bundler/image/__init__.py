"""The notebook's image: described as a target, captured, compared, and emulated here."""
