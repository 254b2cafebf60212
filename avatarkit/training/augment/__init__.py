"""Changes to the pictures of a sample, drawn from its own seed."""
