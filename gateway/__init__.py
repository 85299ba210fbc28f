"""The gateway: which proto services are public, and Envoy's configuration for them."""
