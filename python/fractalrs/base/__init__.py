"""From interactions to the base: the signed matrix, hold-out, payload, singular values, summary."""
