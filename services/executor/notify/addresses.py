"""Decides which IP addresses are public."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The addresses that IANA has assigned for the internet ("IPv6 Address Space"). The others are local, multicast or wrap other addresses."""
DOCUMENTATION = IPv6Network("3fff::/20")
"""RFC 9637; not known to Python 3.13.0."""
NAT64 = IPv6Network("64:ff9b::/96")
"""The well-known prefix (RFC 6052): an IPv4 address in its last 32 bits, as DNS64 gives it out in networks that only speak IPv6."""


CLOUDS_INSIDE: Final[tuple[IPv4Network | IPv6Network, ...]] = (
    IPv4Network("168.63.129.16/32"),  # Azure's host service ("What is IP address 168.63.129.16?")
    IPv4Network("199.36.153.0/28"),  # private.googleapis.com and restricted.googleapis.com ("Configure Private Google Access")
    IPv6Network("2600:2d00:2:1000::/64"),  # the same
    IPv6Network("2600:2d00:2:2000::/64"),
)
"""Addresses that look public and are answered inside a cloud's own network. Its metadata services are at link-local, shared (100.64.0.0/10)
or unique local addresses, or in 192.0.0.0/24, none of which is global.
"""


def is_public(text: str, refused: Iterable[IPv4Network | IPv6Network] = ()) -> bool:
    """True if `text`, an address as the resolver returns it, is on the public internet and does not lead back inside. `refused`: further
    networks that are not meant.

    An address that wraps an IPv4 address is judged by that. 6to4 and Teredo are obsolete and always refused.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        wrapped = address.ipv4_mapped or (IPv4Address(address.packed[-4:]) if address in NAT64 else None)
        if wrapped is None:
            local = address.scope_id is not None or address in DOCUMENTATION
            tunnel = address.sixtofour is not None or address.teredo is not None
            return address in GLOBAL_UNICAST and address.is_global and not (local or tunnel or _lies_in(address, refused))
        address = wrapped
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not is_special and not _lies_in(address, refused)


def _lies_in(address: IPv4Address | IPv6Address, refused: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in (*CLOUDS_INSIDE, *refused))
