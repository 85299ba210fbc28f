"""What a delivery puts into a bucket or container."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """One object."""

    key: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """One version of one billing period."""

    data: Sequence[Placed]
    """The data files, as the manifest lists them."""
    manifest: Sequence[Placed]
    """What is written once all data files are there; the clouds write it last."""

    @property
    def objects(self) -> Sequence[Placed]:
        """In the order of delivery."""
        return [*self.data, *self.manifest]
