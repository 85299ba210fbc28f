"""`python -m localcloud.sample`: loads the sample tenant's exports. `python -m localcloud.sample restate aws`: see `restate`."""

import sys

from localcloud.sample.restate import restate_main
from localcloud.sample.tenant import main

if __name__ == "__main__":
    if sys.argv[1:2] == ["restate"]:
        restate_main(sys.argv[2:])
    else:
        main()
