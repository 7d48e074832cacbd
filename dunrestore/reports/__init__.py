"""Pages to look at results with."""
