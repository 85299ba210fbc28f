"""What versions of FOCUS call the columns of the version that we keep (1.2). A new version is a few lines here.

1.0 to 1.2 differ only in columns that were added. Sources: the changelog of the specification (FOCUS_Spec, CHANGELOG.md), Microsoft's and
AWS's notes on moving from one version of their exports to the next.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherName:
    """A column of another version from which one of ours is taken, if the export does not have ours."""

    name: str
    values: Mapping[str, str] | None = None
    """Its values and ours; others become NULL. None: they are the same."""
    is_kept: bool = False
    """True if it is also kept among the provider's own columns, because it says more than ours."""


OTHER_NAMES: Final[Mapping[str, tuple[OtherName, ...]]] = {
    # 0.5
    "ChargeCategory": (OtherName(name="ChargeType"),),
    "EffectiveCost": (OtherName(name="AmortizedCost"),),
    # 1.0-preview: renamed in 1.0
    "RegionId": (OtherName(name="Region"),),
    "ConsumedQuantity": (OtherName(name="UsageQuantity"),),
    "ConsumedUnit": (OtherName(name="UsageUnit"),),
    # 1.0-preview: removed in 1.0, which has two columns for it
    "ChargeClass": (OtherName(name="ChargeSubcategory", values={"Refund": "Correction"}, is_kept=True),),
    "CommitmentDiscountStatus": (
        OtherName(name="ChargeSubcategory", values={"Used Commitment": "Used", "Unused Commitment": "Unused"}, is_kept=True),
    ),
    # Providers' own columns of 1.0 for what 1.1 and 1.2 have a column for
    "InvoiceId": (OtherName(name="x_InvoiceId", is_kept=True),),
    "PricingCurrency": (OtherName(name="x_PricingCurrency", is_kept=True),),
    "SkuMeter": (OtherName(name="x_SkuMeterName", is_kept=True), OtherName(name="x_UsageType", is_kept=True)),
    # 1.3: the old names are deprecated; 1.4: they are gone
    "ProviderName": (OtherName(name="ServiceProviderName"),),
    "PublisherName": (OtherName(name="HostProviderName"),),
}
"""By our column, the first that an export has counts."""

OTHER_VALUES: Final[Mapping[str, Mapping[str, str]]] = {
    "PricingCategory": {"On-Demand": "Standard", "Commitment-Based": "Committed"},  # 1.0-preview
}
"""Values of a column that were renamed; others stay."""

_FIRST_SEEN: Final = (
    ("1.3", "ServiceProviderName"),
    ("1.2", "PricingCurrency"),
    ("1.2", "InvoiceId"),
    ("1.1", "ServiceSubcategory"),
    ("1.0", "RegionId"),
    ("1.0-preview", "ChargeCategory"),
)


def version_of(names: Collection[str]) -> str:
    """The version of an export that does not say it, by its columns (in any case): the oldest that has them."""
    found = {name.lower() for name in names}
    if "serviceprovidername" in found and "providername" not in found:
        return "1.4"
    return next((version for version, name in _FIRST_SEEN if name.lower() in found), "0.5")
