"""Published days and their costs: the ledger of days, and the answers of the CostService.

A question (`question`) is composed into one query over `focus_cost_daily` (`compose`). Its answer (`answers`) is cached until a day of its
range is published again (`cache`, `looks`). The ledger says how settled days are (`coverage`).
"""
