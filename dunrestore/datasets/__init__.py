"""Readers of paired picture sets, and patches out of them."""
