"""Causal self-attention: kernels, masks, and the kinds of attention that use them."""
