"""Where a call comes from: the peer's certificate and the client's address."""

from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from services.platform.rpc.calls import Call

SAN_SUFFIX = ".convergence.internal"
IPV6_SITE = 64
"""Bits of an IPv6 address that name a site: one client has all the addresses that share them."""


def peer_name(call: Call) -> str | None:
    """The service name in the peer's certificate, e.g. `executor` for `executor.convergence.internal`; None without such a certificate."""
    for value in call.context.auth_context().get("x509_subject_alternative_name", ()):
        name: str = value.decode() if isinstance(value, bytes) else value
        if name.endswith(SAN_SUFFIX):
            return name.removesuffix(SAN_SUFFIX)
    return None


def client_address(call: Call) -> str:
    """The client's address: as the gateway saw it (the last entry of X-Forwarded-For), else the peer's own."""
    if peer_name(call) == "gateway":
        forwarded = call.metadata.get("x-forwarded-for", "").rsplit(",", 1)[-1].strip()
        if forwarded:
            return forwarded
    return str(call.context.peer()).rsplit(":", 1)[0]


def client_network(address: str) -> str:
    """What is counted as one client: an IPv4 address, an IPv6 /64, or any other text as it is."""
    try:
        site = IPv6Address(address)
    except AddressValueError:
        return address
    if isinstance(site.ipv4_mapped, IPv4Address):
        return str(site.ipv4_mapped)
    return str(IPv6Network((site, IPV6_SITE), strict=False))
