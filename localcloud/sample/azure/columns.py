"""The columns of Azure's FOCUS export 1.2-preview, in its order, and how Parquet and CSV files have their values.

microsoft/finops-toolkit, src/open-data/dataset-metadata/FocusCost_1.2-preview.json
"""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

type AzureRow = dict[str, Any]

_COLUMNS: Final = """
BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency BillingPeriodEnd BillingPeriodStart
CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass ChargeDescription ChargeFrequency ChargePeriodEnd
ChargePeriodStart CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName CommitmentDiscountQuantity
CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit ContractedCost
ContractedUnitPrice EffectiveCost InvoiceId InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingCurrency
PricingQuantity PricingUnit ProviderName PublisherName RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory
ServiceName ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType Tags
x_AccountId x_AccountName x_AccountOwnerId x_AmortizationClass x_BilledCostInUsd x_BilledUnitPrice x_BillingAccountId
x_BillingAccountName x_BillingExchangeRate x_BillingExchangeRateDate x_BillingProfileId x_BillingProfileName
x_ContractedCostInUsd x_CostAllocationRuleName x_CostCenter x_CustomerId x_CustomerName x_EffectiveCostInUsd x_EffectiveUnitPrice
x_InvoiceIssuerId x_InvoiceSectionId x_InvoiceSectionName x_ListCostInUsd x_PartnerCreditApplied x_PartnerCreditRate
x_PricingBlockSize x_PricingSubcategory x_PricingUnitDescription x_PublisherCategory x_PublisherId x_ResellerId x_ResellerName
x_ResourceGroupName x_ResourceType x_ServiceModel x_ServicePeriodEnd x_ServicePeriodStart x_SkuDescription x_SkuDetails
x_SkuIsCreditEligible x_SkuMeterCategory x_SkuMeterId x_SkuMeterName x_SkuMeterSubcategory x_SkuOfferId x_SkuOrderId
x_SkuOrderName x_SkuPartNumber x_SkuPlanName x_SkuRegion x_SkuServiceFamily x_SkuTerm x_SkuTier
"""
AZURE_COLUMNS: Final = tuple(_COLUMNS.split())
_NUMBERS: Final = ("Cost", "UnitPrice", "CostInUsd", "Quantity", "ExchangeRate", "BlockSize")
_TIMES: Final = ("PeriodEnd", "PeriodStart", "RateDate")
"""The ends of the names of columns that are decimals and times."""
_DECIMAL: Final = pa.decimal128(38, 18)


def parquet_file(rows: Sequence[AzureRow]) -> bytes:
    """A file as Azure writes Parquet: Snappy, decimals, JSON as text."""
    arrays = {name: pa.array([_parquet(row.get(name)) for row in rows], _type(name)) for name in AZURE_COLUMNS}
    out = io.BytesIO()
    pq.write_table(pa.table(arrays), out, compression="snappy")
    return out.getvalue()


def csv_file(rows: Sequence[AzureRow]) -> bytes:
    """A file as Azure writes CSV, compressed: with a byte order mark, times without seconds."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(AZURE_COLUMNS)
    writer.writerows([_csv(row.get(name)) for name in AZURE_COLUMNS] for row in rows)
    return gzip.compress(out.getvalue().encode("utf-8-sig"), mtime=0)


def _type(name: str) -> pa.DataType:
    if name.endswith(_NUMBERS):
        return _DECIMAL
    if name.endswith(_TIMES):
        return pa.timestamp("ms", "UTC")
    return {"x_SkuIsCreditEligible": pa.bool_(), "x_SkuTerm": pa.int64()}.get(name, pa.string())


def _parquet(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.quantize(Decimal(10) ** -_DECIMAL.scale)
    return json.dumps(value) if isinstance(value, Mapping) else value


def _csv(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return f"{value:%Y-%m-%dT%H:%MZ}"
        case Decimal():
            return f"{value.normalize():f}"
        case Mapping():
            return json.dumps(value)
        case _:
            return str(value)
