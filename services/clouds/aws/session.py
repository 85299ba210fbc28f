"""A tenant's access to AWS: clients of S3 and STS that have the tenant's credentials and nothing of this machine's.

Nothing is read from AWS_* variables, profiles, configuration files or instance metadata, and no address is a tenant's: it follows from a
region. A role is assumed when the first request needs it, and again before its session ends, so that a long read goes on; a federated
tenant's role with a new token each time.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from services.clouds import audiences
from services.clouds.access import TenantAccess
from services.clouds.aws.credentials import read_aws
from services.clouds.aws.location import S3Location, reader_policy
from services.clouds.aws.refusals import AwsAction, AwsRequest, explain

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 30
"""Seconds without a byte; a whole download may take longer."""
MAX_ATTEMPTS: Final = 4
"""Tries of one request, the first included, with backoff."""
SESSION_SECONDS: Final = 3600
"""A role's session: every role allows an hour, and AWS's library renews it fifteen minutes before its end."""


class AwsSession:
    """Opened for one run or check. Its clients block. Closing it closes them."""

    def __init__(self, access: TenantAccess, location: S3Location | None = None) -> None:
        """Without I/O. `location`: what a role's session is narrowed to; a key without a role may do what its user may. Raises
        AccessRefused if the stored credentials cannot be used.
        """
        self.credentials = read_aws(access.plaintext)
        self._access = access
        self._location = location
        self._clients = list[Any]()

    @functools.cached_property
    def s3(self) -> Any:
        """A client of S3. Its requests raise botocore's errors, and AccessRefused if the role is refused."""
        return self._client("s3", self._identity)

    @functools.cached_property
    def sts(self) -> Any:
        """A client of STS with the same identity."""
        return self._client("sts", self._identity)

    def assume(self, *, external_id: str | None = None, token: str | None = None) -> dict[str, str]:
        """A session of the role, with the key or with a token, in the form of botocore's refreshable credentials. Raises AccessRefused."""
        held = self.credentials
        request: dict[str, Any] = {
            "RoleArn": held.role_arn,
            "RoleSessionName": self._access.session,
            "DurationSeconds": SESSION_SECONDS,
        }
        if self._location:
            request["Policy"] = reader_policy(self._location, held.partition)
        asked = AwsRequest(action=AwsAction.FEDERATE if token else AwsAction.ASSUME_ROLE, role=held.role_arn, region=held.region)
        with explained(asked):
            if token:
                answer = self._plain_sts.assume_role_with_web_identity(**request, WebIdentityToken=token)
            else:
                answer = self._key_sts.assume_role(**request, **({"ExternalId": external_id} if external_id else {}))
        found = answer["Credentials"]
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expiry_time": found["Expiration"].isoformat(),
        }

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.close()

    @functools.cached_property
    def _identity(self) -> Any:
        from botocore.credentials import Credentials, DeferredRefreshableCredentials  # noqa: PLC0415 - see the package

        held = self.credentials
        if held.role_arn is None:
            return Credentials(held.access_key_id, held.secret_access_key)
        return DeferredRefreshableCredentials(refresh_using=self._renew, method="assume-role")

    def _renew(self) -> dict[str, str]:
        held = self.credentials
        if held.is_federated:
            return self.assume(token=self._access.token_of(audiences.AWS))
        return self.assume(external_id=held.external_id)

    @functools.cached_property
    def _key_sts(self) -> Any:
        from botocore.credentials import Credentials  # noqa: PLC0415

        return self._client("sts", Credentials(self.credentials.access_key_id, self.credentials.secret_access_key))

    @functools.cached_property
    def _plain_sts(self) -> Any:
        return self._client("sts", None)

    def _client(self, service: str, identity: Any) -> Any:
        from botocore import UNSIGNED  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        emulator = self._access.endpoints.aws
        config = Config(
            region_name=self.credentials.region,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=self._access.call_seconds or READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 1 if self._access.call_seconds else MAX_ATTEMPTS},
            ignore_configured_endpoint_urls=True,
            s3={"addressing_style": "path" if emulator else "virtual"},
            **({"proxies": {}} if emulator else {}),
            **({} if identity else {"signature_version": UNSIGNED}),
        )
        client = _isolated(identity).create_client(service, config=config, endpoint_url=emulator)
        self._clients.append(client)
        return client


@contextmanager
def explained(asked: AwsRequest) -> Iterator[None]:
    """What AWS's library raises becomes AccessRefused, worded for the tenant."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise explain(error, asked) from None


def _isolated(identity: Any) -> Any:
    """A session of AWS's library with these credentials, whose every setting has its default."""
    from botocore.session import Session  # noqa: PLC0415

    defaults = {name: (None, None, default, cast) for name, (_, _, default, cast) in Session.SESSION_VARIABLES.items()}
    files = dict.fromkeys(("config_file", "credentials_file"), (None, None, None, None))
    session = Session(session_vars=defaults | files)
    session.register_component("data_loader", _models())
    session._credentials = identity  # noqa: SLF001 - its public way takes no credentials that renew themselves
    return session


@functools.cache
def _models() -> Any:
    """AWS's descriptions of its services, read once a process; not those that lie in a home directory."""
    from botocore.loaders import Loader  # noqa: PLC0415

    return Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
