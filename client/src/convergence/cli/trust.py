"""Whose certificates REST calls trust: as the client's own calls do."""

import ssl

from convergence.client import Connection
from convergence.client.errors import ConfigurationError


def trusted(connection: Connection) -> ssl.SSLContext | bool:
    """For httpx: the profile's `ca_file`, else the system's. Raises ConfigurationError if the file is no certificate."""
    if not connection.ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=connection.ca_file)
    except OSError:  # of which SSLError is one
        raise ConfigurationError(f"{connection.ca_file} cannot be read as certificates in PEM.") from None
