"""Small copies of a picture among its metadata, which no longer fit once it is changed."""

from dataclasses import replace

from dunrestore.imaging.metadata import exif, photoshop
from dunrestore.imaging.picture import Picture


def without_thumbnails(picture: Picture) -> Picture:
    """The picture less the thumbnails in its EXIF block and Photoshop's resources.

    Returns:
        A picture whose ``left_out`` names what was taken out; all other bytes of its metadata are
        as they stood.
    """
    stood, left_out = picture.metadata, list(picture.left_out)
    block, blocks = stood.exif, stood.photoshop
    if block is not None and exif.has_thumbnail(block):
        block = exif.without_thumbnail(block)
        left_out.append("EXIF thumbnail")
    if blocks is not None and photoshop.without_thumbnails(blocks) != blocks:
        blocks = photoshop.without_thumbnails(blocks) or None
        left_out.append("Photoshop thumbnail (8BIM)")
    metadata = replace(stood, exif=block, photoshop=blocks)
    return replace(picture, metadata=metadata, left_out=tuple(left_out))
