-- Amounts of invoice documents, as the tenant has entered them. Append-only: for each month, account and currency, the row that was entered
-- last counts, and a row without an amount removes the amount. entry_id: a replay of one entry writes no second row, or an equal one.
-- invoice_month: YYYY-MM.
CREATE TABLE IF NOT EXISTS x_meta_invoices (
  entry_id STRING NOT NULL,
  invoice_month STRING NOT NULL,
  billing_account_id STRING NOT NULL,
  currency STRING NOT NULL,
  amount NUMERIC,
  entered_by_user_id STRING,
  entered_at TIMESTAMP
)
CLUSTER BY invoice_month
