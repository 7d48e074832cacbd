"""Damage and noise as pure functions over arrays, with the random generator passed in."""
