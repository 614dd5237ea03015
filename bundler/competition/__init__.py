"""What a competition hands to the notebook and wants back."""
