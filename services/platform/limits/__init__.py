"""What keeps one tenant from using up what all share: how many requests a minute (`token_bucket`, `requests`), and whether the event loop
is held up (`event_loop`).
"""
