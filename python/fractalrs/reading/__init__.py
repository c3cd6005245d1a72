"""From what the user brings to interactions."""
