"""Mixtures of experts: who takes which token, the experts, and what keeps them evenly busy."""
