"""What is learned: each objective turns a model and a batch into a sum of losses."""
