"""Formats of picture files: each taken apart and put together, chunk for chunk."""
