"""`python -m localcloud.azure`: Azure on a laptop."""

from localcloud.azure.server import main

if __name__ == "__main__":
    main()
