"""Certificates for mTLS between the services: reading them (`files`), following their renewal (`watch`), and using the newest ones in the
server (`server`) and in channels to peers (`channel`), without a restart.
"""
