"""Restore one image, or a folder of them."""
