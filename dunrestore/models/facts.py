"""What the rest of the package must know of a network, declared by its frozen config."""

from torch import nn


class Facts:
    """The base of the configs; each declares what is otherwise in its network."""

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return 1

    def bytes_per_pixel(self, itemsize: int) -> float:
        """Peak memory of one inference per input pixel, of a network that restores.

        Args:
            itemsize: bytes of a number in the precision that convolutions run in.
        """
        raise NotImplementedError


def facts(network: nn.Module) -> Facts:
    """What the network's config declares."""
    assert isinstance(network.config, Facts)
    return network.config
