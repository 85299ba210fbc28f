"""`python -m localcloud.gateway`: the gateway."""

from localcloud.gateway.envoy import main

if __name__ == "__main__":
    main()
