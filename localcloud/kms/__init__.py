"""Cloud KMS on a laptop: its real gRPC API over AES-256-GCM and RSA."""
