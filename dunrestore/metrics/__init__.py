"""Fidelity and perceptual metrics."""
