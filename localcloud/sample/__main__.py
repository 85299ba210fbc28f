"""`python -m localcloud.sample`: loads the sample tenant's exports."""

from localcloud.sample.tenant import main

if __name__ == "__main__":
    main()
