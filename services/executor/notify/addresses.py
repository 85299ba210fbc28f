"""Decides which IP addresses are public."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The addresses that IANA has assigned for the internet ("IPv6 Address Space"). The others are local, multicast or wrap other addresses."""
DOCUMENTATION = IPv6Network("3fff::/20")
"""RFC 9637; not known to Python 3.13.0."""
NAT64 = IPv6Network("64:ff9b::/96")
"""The well-known prefix (RFC 6052): an IPv4 address in its last 32 bits, as DNS64 gives it out in networks that only speak IPv6."""


def is_public(text: str) -> bool:
    """True if `text`, an address as the resolver returns it, is on the public internet and does not lead back inside.

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
            return address in GLOBAL_UNICAST and address.is_global and not local and not tunnel
        address = wrapped
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
