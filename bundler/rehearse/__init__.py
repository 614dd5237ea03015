"""The dress rehearsal: sandbox, mounts, checks, projection, report."""
