"""What goes with a picture's samples: EXIF and TIFF tags, XMP, Photoshop's resources."""
