"""What names the place of a Cost Management export, and what does not: it becomes part of an address."""

import pytest

from services.clouds.access import AccessRefused
from services.clouds.azure.location import AzureLocation


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("acmebilling/exports/finops/daily-focus", "finops/daily-focus/"),
        ("acmebilling/exports/daily-focus", "daily-focus/"),
        ("acmebilling/exports/a/b c/d/daily-focus/", "a/b c/d/daily-focus/"),
    ],
)
def test_a_location_is_read(text: str, prefix: str) -> None:
    location = AzureLocation.parse(text)

    assert (location.account, location.container, location.prefix) == ("acmebilling", "exports", prefix)
    assert str(location) == text.rstrip("/")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "storage account's name"),
        ("https://a.blob.core.windows.net/c/d/e", "storage account's name"),
        ("evil.example#/exports/d/e", "storage account's name"),
        ("ab/exports/e", "storage account's name"),
        ("acmebilling", "container's name"),
        ("acmebilling/Exports/e", "container's name"),
        ("acmebilling/a--b/e", "container's name"),
        ("acmebilling/exports", "export's name"),
        ("acmebilling/exports//e", "export's name"),
        ("acmebilling/exports/../e", "export's name"),
        ("acmebilling/exports/d/a\nb", "export's name"),
        ("acmebilling/exports/d?comp=list", "export's name"),
    ],
)
def test_a_location_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(AccessRefused, match=says):
        AzureLocation.parse(text)
