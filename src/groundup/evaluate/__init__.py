"""Measuring models: held-out text, baselines."""
