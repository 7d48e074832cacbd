"""Networks, and the runner that applies one to a picture of any size."""
