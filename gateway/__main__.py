"""`python -m gateway`: the gateway."""

from gateway.envoy import main

if __name__ == "__main__":
    main()
