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

ACCEPTED_AWS: dict[str, str] = {}
"""In rows that aws/cost/focus and aws/cost/cur publish."""

ACCEPTED_AZURE: dict[str, str] = {}
"""In rows that azure/cost/focus and azure/cost/actual publish."""
