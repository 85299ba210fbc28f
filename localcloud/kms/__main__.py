"""`python -m localcloud.kms`: Cloud KMS on a laptop."""

from localcloud.kms.server import main

if __name__ == "__main__":
    main()
