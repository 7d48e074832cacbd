"""What was in a picture file: samples as stored, what they mean, and what goes with them."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.uint8 | np.uint16]
"""(H, W, C), in stored order (not turned upright)."""

Kind = Literal["grey", "rgb", "palette"]
Format = Literal["tiff", "png", "jpeg", "jp2", "webp"]


@dataclass(frozen=True)
class Palette:
    """The colours that palette indices stand for.

    Attributes:
        colours: (n, 3), 0 to ``maximum``.
        maximum: the value of full intensity, 255 or 65535.
        alpha: (n,), 255 for opaque entries, 0 for wholly transparent ones.
        slots: how many entries the file can hold at most.
    """

    colours: NDArray[np.uint16]
    maximum: int
    alpha: NDArray[np.uint8]
    slots: int = 256

    @property
    def opaque(self) -> NDArray[np.bool_]:
        """(n,), whether an entry is wholly opaque."""
        return self.alpha == 255


@dataclass(frozen=True)
class Encoding:
    """How samples encode colour, in the source's own colour space.

    Attributes:
        kind: grey (1 colour channel), rgb (3) or palette (1, indices).
        maximum: the sample value of full intensity, 255 or 65535.
        extra: channels after the colour channels (alpha and others); they are never changed.
        white_is_zero: grey stored as a negative (TIFF's MinIsWhite).
        palette: the colours, for kind palette only.
        alpha: whether the first of the extra channels is alpha; a TIFF may have infrared there.
        transparent: the samples of the one colour that is wholly transparent (PNG's tRNS).
    """

    kind: Kind
    maximum: int = 255
    extra: int = 0
    white_is_zero: bool = False
    palette: Palette | None = None
    alpha: bool = True
    transparent: tuple[int, ...] | None = None

    @property
    def channels(self) -> int:
        """Colour channels; what follows them is ``extra``."""
        return 3 if self.kind == "rgb" else 1


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit; ``none`` gives only the pixels' aspect."""

    x: Fraction
    y: Fraction
    unit: Literal["inch", "cm", "none"]

    def per_metre(self) -> tuple[float, float] | None:
        """Pixels per metre across and down, if there is a unit."""
        if self.unit == "none":
            return None
        scale = 10000 / 254 if self.unit == "inch" else 100
        return float(self.x) * scale, float(self.y) * scale


@dataclass(frozen=True)
class Metadata:
    """What every format can be asked to hold; byte blocks are exactly as they stood in the file.

    Attributes:
        icc: colour profile.
        exif: a TIFF-structured block ("II*..." or "MM*..."): artist, copyright, date, description,
            camera and so on in its first directory, EXIF and GPS below it.
        xmp: XMP packet.
        iptc: IPTC-IIM records.
        photoshop: image resource blocks ("8BIM...").
        resolution: pixels per unit.
        orientation: EXIF orientation, 1 to 8.
        texts: comments and texts with their keywords, in file order.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    photoshop: bytes | None = None
    resolution: Resolution | None = None
    orientation: int = 1
    texts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Picture:
    """One picture, or one page of a file.

    Attributes:
        samples: (H, W, C) uint8 or uint16, as stored; of very large pictures ``imaging.rows.Rows``
            that stay on the disk, of which whole rows can be asked for.
        encoding: what the samples mean.
        metadata: what goes with the picture, common to all formats.
        source: what its file's format alone can hold, for writing the same kind of file again;
            belongs to the format's module.
        bound: names of what was in the file and no other format can be given.
        left_out: names of what was in the file and is written into none, not its own either.
        recompressed: name of the source's compression where it loses or is not to be had for
            writing; the same kind of file is then written without loss.
    """

    samples: Samples
    encoding: Encoding
    metadata: Metadata = field(default_factory=Metadata)
    source: object = None
    bound: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    recompressed: str = ""

    @property
    def stays_on_disk(self) -> bool:
        """Whether the samples are rows that are fetched when they are needed, and no array."""
        return not isinstance(cast(object, self.samples), np.ndarray)

    @property
    def upright_shape(self) -> tuple[int, int]:
        """(rows, columns) after turning the picture upright."""
        rows, columns = self.samples.shape[:2]
        return (columns, rows) if self.metadata.orientation >= 5 else (rows, columns)


@dataclass(frozen=True)
class Document:
    """A picture file: one picture, or the pages of a TIFF.

    Attributes:
        pages: at least one.
        format: the kind of file it was read from, or is to be.
    """

    pages: tuple[Picture, ...]
    format: Format
