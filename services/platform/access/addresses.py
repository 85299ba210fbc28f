"""Where a call comes from: the peer's certificate and the client's address."""

from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from services.platform.rpc.calls import Call

SAN_SUFFIX = ".convergence.internal"
SERVICE = "{service}"
IPV6_SITE = 64
"""Bits of an IPv6 address that name a site: one client has all the addresses that share them."""


def peer_name(call: Call, spiffe_id: str | None = None) -> str | None:
    """The service name in the peer's certificate: `executor` for the DNS name `executor.convergence.internal`, or for its SPIFFE id, if
    `spiffe_id` is a pattern of these that ends in `{service}`. None: the certificate names no service.
    """
    facts = call.context.auth_context()
    for name in map(_text, facts.get("peer_dns", ())):
        if name.endswith(SAN_SUFFIX):
            return name.removesuffix(SAN_SUFFIX)
    if spiffe_id is not None:
        prefix = spiffe_id.removesuffix(SERVICE)
        # gRPC sets it for a certificate with exactly one URI, as SPIFFE's X.509-SVID demands.
        for name in map(_text, facts.get("peer_spiffe_id", ())):
            if name.startswith(prefix):
                return name.removeprefix(prefix)
    return None


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def client_address(call: Call, peer: str | None) -> str:
    """The client's address: as the gateway saw it (the last entry of X-Forwarded-For), else that of the peer itself, whose `peer_name` is
    `peer`.
    """
    if peer == "gateway":
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
