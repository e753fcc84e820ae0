"""Models of others in, models of ours out."""
