"""Records who did what, in every service, and sends it to auth, which appends it to the audit log. docs/audit.md is for its readers.

What is recorded follows from the protos (`rules`): a public RPC whose verb is not GET changes something. A call that was done, or that may
have been, is an entry. A refused call changes nothing: such calls are counted, one entry a minute for each caller, RPC and reason.

The interceptor (`trail`) only adds to memory (`pending`, bounded), so no caller waits and no call costs a statement. `delivery` sends what
is in memory every second or two and when the service stops, and again until auth has it. Auth chains the entries (`services/auth/audit`).
"""
