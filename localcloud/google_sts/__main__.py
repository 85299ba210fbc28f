"""`python -m localcloud.google_sts`: Google's Security Token Service on a laptop."""

from localcloud.google_sts.server import main

if __name__ == "__main__":
    main()
