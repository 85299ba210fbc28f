"""This installation as an issuer of identity tokens: which keys it publishes, which one signs, and what a token says."""
