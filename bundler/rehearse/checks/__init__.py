"""What a rehearsal checks, before the run and after it."""
