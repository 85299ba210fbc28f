"""What was published, and what it cost: the ledger of days, and the answers of the CostService.

A question (`question`) is composed into one query over `focus_cost_daily` (`compose`), and its answer (`answers`) is cached until a day of
its range is published again (`cache`, `looks`). What is known of days comes from the ledger (`coverage`).
"""
