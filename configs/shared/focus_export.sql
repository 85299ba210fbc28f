-- The rows that the AWS and Azure templates publish in focus_cost_daily. The run's own staging table replaces x_staging_focus_export.

-- name: focus_export_rows
-- Reads the staging table only, so it returns the same rows each time. Columns that only Google's billing data has are NULL.
-- The JSON columns are staged as text. A number that FLOAT64 cannot hold exactly, such as an id of twenty digits, is rounded. Without
-- rounding, one such value in a provider's own column would fail the whole period.
-- param: loaded_at TIMESTAMP
-- param: pipeline_logging_id STRING
SELECT
  e.x_UsageDate, e.AvailabilityZone, e.BilledCost, e.BillingAccountId, e.BillingAccountName, e.BillingAccountType, e.BillingCurrency,
  e.BillingPeriodEnd, e.BillingPeriodStart, e.CapacityReservationId, e.CapacityReservationStatus, e.ChargeCategory, e.ChargeClass,
  e.ChargeDescription, e.ChargeFrequency, e.ChargePeriodEnd, e.ChargePeriodStart, e.CommitmentDiscountCategory, e.CommitmentDiscountId,
  e.CommitmentDiscountName, e.CommitmentDiscountQuantity, e.CommitmentDiscountStatus, e.CommitmentDiscountType, e.CommitmentDiscountUnit,
  e.ConsumedQuantity, e.ConsumedUnit, e.ContractedCost, e.ContractedUnitPrice, e.EffectiveCost, e.InvoiceId, e.InvoiceIssuerName,
  e.ListCost, e.ListUnitPrice, e.PricingCategory, e.PricingCurrency, e.PricingCurrencyContractedUnitPrice, e.PricingCurrencyEffectiveCost,
  e.PricingCurrencyListUnitPrice, e.PricingQuantity, e.PricingUnit, e.ProviderName, e.PublisherName, e.RegionId, e.RegionName,
  e.ResourceId, e.ResourceName, e.ResourceType, e.ServiceCategory, e.ServiceName, e.ServiceSubcategory, e.SkuId, e.SkuMeter,
  PARSE_JSON(e.SkuPriceDetails, wide_number_mode => 'round') AS SkuPriceDetails, e.SkuPriceId, e.SubAccountId, e.SubAccountName,
  e.SubAccountType, PARSE_JSON(e.Tags, wide_number_mode => 'round') AS Tags, CAST(NULL AS STRING) AS x_CostType,
  CAST(NULL AS NUMERIC) AS x_CreditsTotal, CAST(NULL AS FLOAT64) AS x_CurrencyConversionRate, CAST(NULL AS STRING) AS x_InvoiceMonth,
  CAST(NULL AS STRING) AS x_Location, CAST(NULL AS STRING) AS x_ProjectNumber, CAST(NULL AS STRING) AS x_ServiceId,
  CAST(NULL AS JSON) AS x_SystemLabels, @loaded_at AS x_LoadedAt, @pipeline_logging_id AS x_PipelineLoggingId, e.x_Provider, e.x_SourceId,
  e.x_FocusVersion, CAST(NULL AS NUMERIC) AS x_NetCost, CAST(NULL AS NUMERIC) AS x_CostAtEffectivePriceDefault,
  CAST(NULL AS NUMERIC) AS x_CostAtListConsumptionModel, CAST(NULL AS STRING) AS x_ConsumptionModelId,
  CAST(NULL AS STRING) AS x_ConsumptionModelDescription, CAST(NULL AS STRING) AS x_SubscriptionInstanceId,
  CAST(NULL AS STRING) AS x_PublisherType, CAST(NULL AS JSON) AS x_Credits,
  PARSE_JSON(e.x_ProviderColumns, wide_number_mode => 'round') AS x_ProviderColumns, CAST(NULL AS STRING) AS x_SourceRow,
  CAST(NULL AS STRING) AS x_Derivation, CAST(NULL AS STRING) AS x_CommitmentPool, e.x_BillingPeriod, e.x_ManifestId, e.x_SourceChanges
FROM x_staging_focus_export AS e
