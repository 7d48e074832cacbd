"""Train and fine-tune the networks."""
