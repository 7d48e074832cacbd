"""Many files: planned, restored beside each other, reported."""
