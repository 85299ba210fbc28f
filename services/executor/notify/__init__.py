"""Run notifications: a step hands over what is to be told, and the run goes on at once.

    steps/notify    makes a `Notification` of the run's outcome so far, and gives it to the notifier; no I/O
    `notifier`      a bounded queue in memory; tries each notification until it is delivered, refused or too old
    `delivery`      one try: opens the tenant's target (`destinations`), then posts (`https`) or mails (`mail`) to it
    `addresses`, `responses`, `signature`, `message_template`    the decisions, without I/O

A notification can neither delay nor fail the run that it reports on: the step waits for nothing, and what goes wrong later is logged here.
It is delivered at least once, with one id for all its tries, or not at all: what is queued when the process dies is gone.

Whom a tenant names as a target, we would otherwise call from inside our network. So only https is spoken, a name is resolved once, all of
its addresses must be the public internet's, the connection goes to the very address that was judged, nobody is redirected, no proxy of the
environment is used, and of an answer only status and headers are read.
"""
