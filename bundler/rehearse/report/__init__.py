"""What a rehearsal writes: its page, its pictures, where its result comes from."""
