"""What each process counts, for Prometheus: docs/metrics.md lists all of it, with what each is good for.

Each module has the metrics of one part, and a typed function where more is decided than "one more". No metric has a tenant as a label:
ten thousand tenants would be too many series, and what a tenant's runs cost is in tables. Labels are named so that none is one of
Prometheus's own (`job`, `instance`), which it would rename.
"""

from services.platform.metrics.bigquery import BIGQUERY_JOBS as BIGQUERY_JOBS
from services.platform.metrics.bigquery import BIGQUERY_PACED_SECONDS as BIGQUERY_PACED_SECONDS
from services.platform.metrics.bigquery import BIGQUERY_RETRIES as BIGQUERY_RETRIES
from services.platform.metrics.bigquery import BIGQUERY_STATEMENTS as BIGQUERY_STATEMENTS
from services.platform.metrics.bigquery import BIGQUERY_VERSION_READS as BIGQUERY_VERSION_READS
from services.platform.metrics.calls import CALLS as CALLS
from services.platform.metrics.process import AUDIT_ENTRIES as AUDIT_ENTRIES
from services.platform.metrics.process import AUDIT_WAITING as AUDIT_WAITING
from services.platform.metrics.process import EVENT_LOOP_LAG as EVENT_LOOP_LAG
from services.platform.metrics.process import EVENT_LOOP_LAG_MAX as EVENT_LOOP_LAG_MAX
from services.platform.metrics.process import REPORT_ROWS as REPORT_ROWS
from services.platform.metrics.process import TLS_EXPIRY as TLS_EXPIRY
from services.platform.metrics.runs import NOTIFICATIONS as NOTIFICATIONS
from services.platform.metrics.runs import TEMPLATES as TEMPLATES
from services.platform.metrics.tenants import ACCESS_CHECKS as ACCESS_CHECKS
from services.platform.metrics.tenants import ACCESS_STOPPED as ACCESS_STOPPED
from services.platform.metrics.tenants import COST_ANSWERS as COST_ANSWERS
from services.platform.metrics.tenants import CREDENTIALS_BELOW_KEY_VERSION as CREDENTIALS_BELOW_KEY_VERSION
from services.platform.metrics.tenants import CREDENTIALS_OLDEST_KEY_VERSION as CREDENTIALS_OLDEST_KEY_VERSION
