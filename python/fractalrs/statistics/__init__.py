"""Statistics of interactions, as pure functions of arrays."""
