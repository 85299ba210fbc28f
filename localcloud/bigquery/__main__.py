"""`python -m localcloud.bigquery`: BigQuery on a laptop."""

from localcloud.bigquery.emulator import main

if __name__ == "__main__":
    main()
