"""groundup builds a language model from the ground up: raw text in, a model that you can talk to out."""

__version__ = "0.1.0"
