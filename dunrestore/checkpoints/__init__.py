"""Models on disk: catalogue, download and cache, file formats, loading."""
