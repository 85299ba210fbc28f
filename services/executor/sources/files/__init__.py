"""Billing data in files: what AWS and Azure exports have in common. A manifest lists the files of one billing period, a month, which is
replaced as a whole.
"""
