"""Validates rendered files against Kubernetes' schemas: `python validate.py FILE...`. Run in an environment of its own, see check.sh."""

import sys
from pathlib import Path

import kubernetes_validate
import yaml

VERSIONS = ("1.28", "1.35")
"""The oldest that the chart takes, and the newest."""
OTHERS = ("cert-manager.io/", "monitoring.coreos.com/", "monitoring.googleapis.com/")
"""Their schemas are not Kubernetes' own."""


def faults(path: Path) -> list[str]:
    """What does not fit, in words."""
    found = []
    for one in filter(None, yaml.safe_load_all(path.read_text())):
        if one["apiVersion"].startswith(OTHERS):
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"{path.name}: {one['kind']} {one['metadata']['name']}, Kubernetes {version}: {error.message}")
    return found


if __name__ == "__main__":
    if wrong := [fault for name in sys.argv[1:] for fault in faults(Path(name))]:
        sys.exit("\n".join(wrong))
