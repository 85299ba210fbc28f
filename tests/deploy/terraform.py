"""Compares the .tf files with the keys that the provider's resources have, since `terraform validate` needs the provider itself:
`python terraform.py FOLDER`. Run in an environment of its own, see check.sh.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import hcl2

KEYS: dict[str, Any] = json.loads(Path(__file__).with_name("google_provider.json").read_text())
META = frozenset({"for_each", "count", "depends_on", "lifecycle", "provider"})
USED = re.compile(r"\b(var|local)\.(\w+)")
RESOURCE = re.compile(r"\b(google_\w+)\.(\w+)")


def faults_of(place: str, keys: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """Unknown keys, and required ones that are missing."""
    # The parser adds keys of its own, for positions.
    given = {key: value for key, value in given.items() if not key.startswith("__") and key not in META}
    found = [f"{place}: the provider knows no `{key}`" for key in given if key not in keys]
    found += [f"{place}: `{key}` is missing" for key, entry in keys.items() if entry["required"] and key not in given]
    for key, value in given.items():
        if block := keys.get(key, {}).get("block"):
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict):
                    found += faults_of(f"{place}.{key}", block, one)
    return found


def faults(folder: Path) -> list[str]:
    """What is wrong in a folder of .tf files, in words."""
    texts = {path.name: path.read_text() for path in sorted(folder.glob("*.tf"))}
    found, declared = list[str](), {"var": set[str](), "local": set[str]()}
    resources = set[tuple[str, str]]()
    for name, text in texts.items():
        parsed = hcl2.loads(text)
        declared["var"] |= {one for block in parsed.get("variable", []) for one in block}
        declared["local"] |= {one for block in parsed.get("locals", []) for one in block}
        for block in parsed.get("resource", []):
            for kind, named in block.items():
                for own, given in named.items():
                    resources.add((kind, own))
                    place = f"{name}: {kind}.{own}"
                    found += faults_of(place, KEYS[kind], given) if kind in KEYS else [f"{place}: not in google_provider.json"]
    for name, text in texts.items():
        code = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
        found += [f"{name}: {kind}.{one} is not declared" for kind, one in USED.findall(code) if one not in declared[kind]]
        found += [f"{name}: there is no {kind}.{own}" for kind, own in RESOURCE.findall(code) if (kind, own) not in resources]
    return found


if __name__ == "__main__":
    if wrong := faults(Path(sys.argv[1])):
        sys.exit("\n".join(wrong))
