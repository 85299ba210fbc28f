"""The Python client of Convergence: typed calls over gRPC, with retries, pages as iteration, and errors as classes."""

from convergence.client import errors
from convergence.client.clients import AsyncClient, Client
from convergence.client.connection import Connection
from convergence.client.errors import ConvergenceError
from convergence.client.profiles import Profile, Profiles, profiles_path, read_profiles
from convergence.rpc.options import Options
from convergence.rpc.pages import AsyncPages, Pages
from convergence.rpc.retry import Retry

__all__ = [
    "AsyncClient",
    "AsyncPages",
    "Client",
    "Connection",
    "ConvergenceError",
    "Options",
    "Pages",
    "Profile",
    "Profiles",
    "Retry",
    "errors",
    "profiles_path",
    "read_profiles",
]
