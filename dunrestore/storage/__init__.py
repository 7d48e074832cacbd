"""Files as such, whatever they hold: written whole, flushed, hashed."""
