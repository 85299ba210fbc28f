"""`python -m localcloud.aws`: AWS on a laptop."""

from localcloud.aws.server import main

if __name__ == "__main__":
    main()
