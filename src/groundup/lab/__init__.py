"""Studies: experiments that answer a question about training."""
