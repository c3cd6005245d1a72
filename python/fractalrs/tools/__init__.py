"""What knows nothing of recommenders."""
