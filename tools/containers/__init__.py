"""`make containers`: builds the images, starts docker-compose.yml, runs the demo in it, looks at what runs, and takes everything down.

Where there is Docker, with `docker compose`. On a Debian machine without it and without a registry, as root, with podman: `debian` has what
such a machine needs, and why.
"""
