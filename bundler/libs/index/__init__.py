"""What the package indexes hold, and how it is fetched."""
