"""What an EXIF block says about orientation and resolution; a damaged block says nothing."""

from dunrestore.errors import InputError
from dunrestore.imaging import ifd, tiff
from dunrestore.imaging.ifd import Ifd
from dunrestore.imaging.picture import Metadata, Resolution


def directory(block: bytes | None) -> Ifd | None:
    """The first directory of an EXIF block, None if it is missing or damaged."""
    if not block:
        return None
    try:
        return ifd.parse_block(block)
    except InputError:
        return None


def orientation_of(block: bytes | None) -> int:
    """EXIF orientation, 1 to 8; 1 if none is stated."""
    tags = directory(block)
    found = tags.number(tiff.ORIENTATION, 1) if tags else 1
    return found if 1 <= found <= 8 else 1


def resolution_of(block: bytes | None) -> Resolution | None:
    """Resolution, if the block states one."""
    tags = directory(block)
    return tiff.resolution(tags) if tags else None


def block_of(metadata: Metadata) -> bytes | None:
    """The EXIF block for a format that has no other place for resolution and orientation."""
    if metadata.exif is not None or metadata.resolution is None:
        return metadata.exif
    resolved = Metadata(resolution=metadata.resolution, orientation=metadata.orientation)
    return ifd.block(tiff.from_metadata(resolved))
