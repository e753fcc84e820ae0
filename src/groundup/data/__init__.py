"""From raw text to batches: sources → documents → shards → batches. Knows nothing of models or tokenizers."""
