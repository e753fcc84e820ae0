"""Text to tokens and back: training and taking vocabularies, encoding, chat templates."""
