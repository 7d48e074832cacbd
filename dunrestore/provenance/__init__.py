"""The record of what was done to a picture."""
