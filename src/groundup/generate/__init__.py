"""Text from a trained model: a cache of keys and values, a sampler, an engine, a conversation."""
