"""Arrays to learn from: what they are, where they come from, and in which order they are seen."""
