"""What the rest of the package must know of a network, declared by its frozen config."""

from typing import ClassVar

from torch import nn


class Facts:
    """The base of the configs; each declares what is otherwise in its network."""

    has_finder: ClassVar[bool] = False
    """Whether it finds the losses in a step of its own, or is told by a mask where they are; and
    must look at all of a picture before it restores a part: it has ``look``, ``find`` and
    ``refine`` as ``Guided`` has them."""
    overlap: ClassVar[int] = 192
    """Pixels that tiles share: the fewest that kept seams below half an 8-bit step, measured in
    docs/decisions.md."""

    @property
    def finder_sees(self) -> int:
        """Pixels on each side of one that may decide what the finder says of it."""
        return 0

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return 1

    @property
    def origin_multiple(self) -> int | None:
        """What tiles begin at multiples of, so that they come out as in the whole picture; None for
        what their sizes are multiples of."""
        return None

    def bytes_per_pixel(self, itemsize: int) -> float:
        """Peak memory of one inference per input pixel, of a network that restores.

        Args:
            itemsize: bytes of a number in the precision that convolutions run in.
        """
        raise NotImplementedError

    def look_bytes_per_pixel(self, itemsize: int) -> float:
        """The same of the finder alone."""
        return self.bytes_per_pixel(itemsize)


def facts(network: nn.Module) -> Facts:
    """What the network's config declares."""
    assert isinstance(network.config, Facts)
    return network.config
