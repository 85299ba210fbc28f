"""Names of BigQuery's locations ("BigQuery locations"), as this installation writes them. Pure."""

import re
from typing import Annotated

from pydantic import AfterValidator

MULTI_REGIONS = frozenset({"US", "EU"})
TAKES = "a BigQuery location, e.g. EU, US or europe-west1"
_LOCATION = re.compile(r"us|eu|[a-z]+(-[a-z]+)+[0-9]{1,2}", re.ASCII)


def location_name(text: str) -> str:
    """The location as BigQuery writes it: multi-regions in capitals, regions in lower case; it takes both. Raises ValueError for a text
    that is no location's name.
    """
    name = text.lower()
    if not _LOCATION.fullmatch(name):
        raise ValueError(f"must be {TAKES}")
    return name.upper() if name.upper() in MULTI_REGIONS else name


type LocationName = Annotated[str, AfterValidator(location_name)]
"""A setting."""


def key_fits(key: str, location: str) -> bool:
    """True if a KMS key (full name) is in the location, as KMS writes it ("Cloud KMS locations"): europe for EU, us for US, or a region or
    multi-region within it.
    """
    there = key.split("/")[3]
    if location in MULTI_REGIONS:
        return there.startswith("us" if location == "US" else "eur")
    return there == location
