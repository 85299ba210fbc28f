"""Append-only tables of the control dataset that processes write in the background: `platform_events`, what the processes report about
themselves (`events`, docs/fleet.md), and the executor's `tenant_runs`.

Nothing waits for these rows. They are kept in bounded memory and streamed every second or two (`background`), which costs no statement. A
process that is killed loses what it has not sent; while BigQuery does not answer, rows wait, and the oldest are dropped when there are too
many. So the tables are for looking, and no decision of the suite reads them.
"""
