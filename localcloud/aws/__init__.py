"""The local AWS: S3, STS and IAM by moto, made as strict as AWS where moto is not: who may assume a role, which tokens are accepted, and
what a session may do. Every call is signed and checked.
"""
