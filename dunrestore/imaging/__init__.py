"""Pictures: files, pixels, metadata, tiles. Knows images, never networks."""
