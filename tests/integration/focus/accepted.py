"""Rules of FOCUS 1.2 that the validator finds broken in our rows, and why that is accepted. docs/focus.md says the same to readers of the
data. A rule that is a list of others is not named: it is broken by them.
"""

FALSE_ALARM = "False alarm: the rule's model has a condition that the validator does not apply as the rule's own text says it."
NOT_ASCII = "Names and texts are the tenant's and its vendors' own; they are handed on as they are, whatever language they are in."

ACCEPTED = {
    "BillingAccountName-C-003-C": "No usage export has the account's name. The parameter billing_account_name gives it.",
    "CapacityReservationStatus-C-003-C": f"{FALSE_ALARM} It wants NULL in every row, also of a reservation.",
    "CapacityReservationStatus-C-004-C": f"{FALSE_ALARM} It wants a status in every row, also without a reservation.",
    "ChargeDescription-C-002-M": NOT_ASCII,
    "CommitmentDiscountStatus-C-004-C": f"{FALSE_ALARM} It wants a status just where CommitmentDiscountId is NULL.",
    "ConsumedUnit-C-003-O": (
        "A recommendation: units are Google's own words (`byte-seconds`), so that they can be looked up in its price list."
    ),
    "EffectiveCost-C-005-C": (
        "It wants no EffectiveCost of any Purchase. Support and subscriptions pay for no other charge, so that theirs is right, which the "
        "validator cannot tell; and a commitment's fee whose usage is not in the export keeps its own."
    ),
    "InvoiceId-C-005-C": "No usage export has the number of the invoice; x_InvoiceMonth says which month's it is.",
    "ResourceType-C-002-M": NOT_ASCII,
    "ServiceName-C-002-M": NOT_ASCII,
    "SubAccountName-C-002-M": NOT_ASCII,
}

_OF_EXPORTS = {
    "CapacityReservationStatus-C-004-C": f"{FALSE_ALARM} It wants a status in every row, also without a reservation.",
    "CommitmentDiscountStatus-C-004-C": f"{FALSE_ALARM} It wants a status just where CommitmentDiscountId is NULL.",
    "EffectiveCost-C-005-C": "As above: a subscription that is bought pays for no other charge.",
    "InvoiceId-C-004-C": f"{FALSE_ALARM} It and InvoiceId-C-005-C contradict each other: one wants no invoice in any row.",
    "InvoiceId-C-005-C": "There is no number before the invoice is written, nor in an export of FOCUS 1.0.",
    "PricingUnit-C-003-O": "A recommendation: units are the cloud's own words, so that they can be looked up in its price list.",
    "ServiceName-C-008-C": (
        "A recommendation: FOCUS 1.0 has no ServiceSubcategory, so that it is the category's `Other (...)`, while an export of 1.2 says it."
    ),
}
ACCEPTED_AWS = _OF_EXPORTS | {
    "BilledCost-C-005-C": (
        f"{FALSE_ALARM} It takes every issuer that is not called as the provider is for a third party: Amazon Web Services, Inc. and AWS."
    ),
    "BillingAccountName-C-003-C": "A legacy Cost and Usage Report has no names of accounts.",
    "ConsumedUnit-C-003-O": "A recommendation, as for PricingUnit.",
}
"""In rows that aws/cost/focus and aws/cost/cur publish."""
ACCEPTED_AZURE = _OF_EXPORTS | {"SkuMeter-C-005-C": "A recommendation: FOCUS 1.0 has no SkuMeter."}
"""In rows that azure/cost/focus and azure/cost/actual publish."""
