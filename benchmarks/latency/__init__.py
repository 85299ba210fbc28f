"""What one run asks of BigQuery, request by request, at the emulator's speed or at BigQuery's.

    recorder = Recorder(times=AS_BIGQUERY)
    with rest_proxy(recorder, upstream="127.0.0.1:9050", callers=["executor"]) as urls:
        ...  # BIGQUERY_EMULATOR_HOST=urls["executor"]

Proxies stand in front of the emulator, one address for each service, so that it is known who asks. A request waits for BigQuery's time of
its kind (`times.py`), then the emulator answers it, and when it was sent and answered is noted (`recorder.py`). Requests that are there at
the same time wait at the same time. From these notes comes the critical path (`path.py`): which requests stood one after the other before
the answer to the caller, and which after it, until the run was seen finished.
"""
