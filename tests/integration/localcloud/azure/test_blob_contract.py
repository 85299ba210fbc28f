"""What readers of Blob Storage rely on, through Azure's own client. The same tests run against Azurite (`make test-azurite`), so that ours
stays honest.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobPrefix, BlobProperties, ContainerClient

from tests.support.azure import ACCOUNT, WRITER, AzureServer, put, writing

NAMES = ["a/1", "a/2", "a/b/3", "a b/ü&<'\".csv", "c"]


@pytest.fixture
def container(blobs: AzureServer) -> Iterator[ContainerClient]:
    with writing(blobs, f"c{uuid.uuid4().hex}") as client:
        yield client


def code(error: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str]:
    found = getattr(error.value, "error_code", "")
    return error.value.status_code, str(getattr(found, "value", found))


def test_a_container_is_made_once(container: ContainerClient) -> None:
    with pytest.raises(ResourceExistsError) as error:
        container.create_container()

    assert code(error) == (409, "ContainerAlreadyExists")
    assert container.get_container_properties().etag


def test_a_blob_is_read_as_it_was_written(container: ContainerClient) -> None:
    put(container, "folder/a.bin", b"0123456789")
    properties = container.get_blob_client("folder/a.bin").get_blob_properties()
    stream = container.download_blob("folder/a.bin")

    assert (properties.size, stream.properties.size, stream.readall()) == (10, 10, b"0123456789")
    assert properties.etag == stream.properties.etag
    assert properties.etag.startswith('"')
    assert properties.last_modified == stream.properties.last_modified
    assert properties.last_modified.microsecond == 0


def test_an_empty_blob_is_read(container: ContainerClient) -> None:
    put(container, "empty", b"")

    assert container.download_blob("empty").readall() == b""


def test_a_large_blob_is_written_in_blocks(blobs: AzureServer, container: ContainerClient) -> None:
    content = bytes(range(256)) * 20_000
    sizes: dict[str, Any] = {"max_single_put_size": 2**20, "max_block_size": 2**21}
    with (
        closing(blobs.identity(WRITER)) as identity,
        ContainerClient.from_container_url(
            container.url, credential=identity._credential, connection_verify=str(blobs.ca), **sizes
        ) as client,
    ):
        client.upload_blob("large", content)

    assert container.download_blob("large").readall() == content


def test_a_range_is_read(container: ContainerClient) -> None:
    put(container, "a", b"0123456789")

    assert container.download_blob("a", offset=3, length=4).readall() == b"3456"
    assert container.download_blob("a", offset=8, length=100).readall() == b"89"
    with pytest.raises(HttpResponseError) as error:
        container.download_blob("a", offset=11, length=1)  # at 10 Azurite answers an empty range, which HTTP does not have
    assert code(error) == (416, "InvalidRange")


def test_what_is_not_there_is_named(container: ContainerClient) -> None:
    with pytest.raises(ResourceNotFoundError) as error:
        container.download_blob("nothing")
    assert code(error) == (404, "BlobNotFound")
    with pytest.raises(ResourceNotFoundError) as error:
        container.get_blob_client("nothing").get_blob_properties()
    assert code(error) == (404, "BlobNotFound")
    with pytest.raises(ResourceNotFoundError) as error:
        container.delete_blob("nothing")
    assert code(error) == (404, "BlobNotFound")


@pytest.mark.parametrize("ask", [lambda client: client.download_blob("a"), lambda client: list(client.list_blobs())], ids=["get", "list"])
def test_a_container_that_is_not_there_is_named(blobs: AzureServer, ask: Callable[[ContainerClient], object]) -> None:
    identity = blobs.identity()
    client = identity.container(ACCOUNT, "nowhere")

    with pytest.raises(ResourceNotFoundError) as error:
        ask(client)

    assert code(error) == (404, "ContainerNotFound")
    identity.close()


def test_a_version_is_asked_for(container: ContainerClient) -> None:
    put(container, "a", b"old")
    blob = container.get_blob_client("a")
    old = blob.get_blob_properties().etag
    put(container, "a", b"new")
    new = blob.get_blob_properties().etag

    assert old != new
    assert blob.download_blob(etag=new, match_condition=MatchConditions.IfNotModified).readall() == b"new"
    with pytest.raises(ResourceModifiedError) as error:
        blob.download_blob(etag=old, match_condition=MatchConditions.IfNotModified)
    assert code(error) == (412, "ConditionNotMet")
    with pytest.raises(HttpResponseError) as unchanged:
        blob.download_blob(etag=new, match_condition=MatchConditions.IfModified)
    assert unchanged.value.status_code == 304
    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(b"newer", overwrite=True, etag=old, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceExistsError) as there:
        blob.upload_blob(b"newer")
    assert code(there) == (409, "BlobAlreadyExists")


def test_a_blob_that_is_replaced_while_it_is_read_is_not_mixed(container: ContainerClient) -> None:
    """The client asks for the first chunk's version with each further chunk."""
    size = 13 * 2**20  # three chunks
    put(container, "a", b"o" * size)
    chunks = container.download_blob("a", max_concurrency=1).chunks()
    first = next(chunks)
    put(container, "a", b"n" * size)

    assert set(first) == set(b"o")
    with pytest.raises(ResourceModifiedError) as error:
        list(chunks)
    assert code(error) == (412, "ConditionNotMet")


def test_blobs_are_listed_in_order_page_by_page(container: ContainerClient) -> None:
    for name in reversed(NAMES):
        put(container, name, name.encode())
    pages = [[blob.name for blob in page] for page in container.list_blobs(results_per_page=2).by_page()]
    by_name = {blob.name: blob for blob in container.list_blobs()}

    assert [name for page in pages for name in page] == sorted(NAMES)
    assert [len(page) for page in pages] == [2, 2, 1]
    for name in NAMES:
        properties = container.get_blob_client(name).get_blob_properties()
        assert (by_name[name].size, by_name[name].last_modified) == (len(name.encode()), properties.last_modified)
        assert f'"{by_name[name].etag}"' == properties.etag, "lists have ETags without quotes"


def test_blobs_are_listed_below_a_prefix(container: ContainerClient) -> None:
    for name in NAMES:
        put(container, name, b"")

    assert [blob.name for blob in container.list_blobs(name_starts_with="a/")] == ["a/1", "a/2", "a/b/3"]
    assert list(container.list_blobs(name_starts_with="A/")) == []
    found = list(container.walk_blobs(name_starts_with="a/", delimiter="/"))
    assert {one.name for one in found if isinstance(one, BlobPrefix)} == {"a/b/"}
    assert {one.name for one in found if isinstance(one, BlobProperties) and not isinstance(one, BlobPrefix)} == {"a/1", "a/2"}


def test_a_deleted_blob_is_gone(container: ContainerClient) -> None:
    put(container, "a", b"1")
    container.delete_blob("a")

    assert list(container.list_blobs()) == []


def test_without_a_token_nothing_is_read(blobs: AzureServer) -> None:
    """Azurite answers otherwise than Azure: that nothing is public is what both agree on."""
    client = ContainerClient(f"{blobs.blobs or blobs.url}/{ACCOUNT}", "exports", connection_verify=str(blobs.ca), retry_total=0)

    with client, pytest.raises(HttpResponseError) as error:
        list(client.list_blobs())

    assert error.value.status_code in {401, 403, 404}
