"""Is this machine fit to restore? Checks that survive whatever is broken."""
