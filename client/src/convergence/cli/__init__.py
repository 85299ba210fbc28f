"""The command line `convergence`, a user of `convergence.client`."""
