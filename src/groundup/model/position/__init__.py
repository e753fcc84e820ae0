"""How a token knows where it stands: one file a scheme."""
