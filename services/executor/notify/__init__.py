"""Run notifications: a step queues a message, and the run continues at once.

    steps/notify    builds a `Notification` of the run's outcome so far and queues it; no I/O
    `notifier`      a bounded queue in memory; tries each notification until it is delivered, refused or expired
    `delivery`      one try: opens the tenant's target (`destinations`), then posts (`https`) or mails (`mail`)
    `addresses`, `responses`, `signature`, `message_template`    decisions, without I/O

A notification can neither delay nor fail its run: the step does not wait, and a later failure is only logged. It is delivered at least
once, with one id for all tries, or not at all: the queue is lost when the process dies.

A tenant chooses the target that we call from inside our network. So only https is allowed; a name is resolved once; all its addresses must
be public; the connection goes to one of exactly these addresses; no redirect is followed, no proxy of the environment is used, and only
status and headers of a response are read.
"""
