"""The embedded default: everything Convergence needs, on loopback, from installed packages.

A stack is a set of processes, each with a readiness check and a log file of its own (`processes/process.py` says what a process is,
`processes/suite.py` lists them): BigQuery and KMS stand-ins that speak Google's wire protocols, then the four services, then the gateway,
then a Cloud Scheduler that fires its jobs through it. `Stack` starts them in the order they need each other, reports at once when one
dies, and leaves nothing behind: a process cannot outlive its supervisor.

The services do not know that they run here. Addresses and a key are passed in environment variables, as in production.

    with Stack(LocalSettings()) as stack:
        print(stack.env["GATEWAY_URL"])
"""
