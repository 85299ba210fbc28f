"""Writes google_provider.json anew: which keys the resources that we use have, and which of them are required.

    npm pack @cdktf/provider-google@16.12.1 && tar xzf *.tgz && python provider_keys.py package/lib google_kms_crypto_key ...

The TypeScript declarations of CDK for Terraform are generated from the provider's own schema.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("google_provider.json")
INTERFACE = re.compile(r"export interface (\w+)[^{]*\{(.*?)\n\}", re.DOTALL)
FIELD = re.compile(r"readonly (\w+)(\??): (\{[^}]*\}|[^;{]+)")


def snake(name: str) -> str:
    """A key as Terraform writes it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def keys_of(name: str, interfaces: dict[str, str]) -> dict[str, Any]:
    """`{key: {"required": bool, "block": {...} or absent}}` of an interface."""
    found: dict[str, Any] = {}
    for key, optional, kind in FIELD.findall(interfaces[name]):
        entry: dict[str, Any] = {"required": not optional}
        if block := next((one for one in re.findall(r"\w+", kind) if one in interfaces), None):
            entry["block"] = keys_of(block, interfaces)
        found[snake(key)] = entry
    return found


def resource(folder: Path, name: str) -> dict[str, Any]:
    """The keys of a resource by its type, e.g. google_kms_key_ring."""
    text = (folder / name.removeprefix("google_").replace("_", "-") / "index.d.ts").read_text()
    interfaces = dict(INTERFACE.findall(text))
    config = next(one for one in interfaces if one.endswith("Config") and f"class {one.removesuffix('Config')} " in text)
    return keys_of(config, interfaces)


if __name__ == "__main__":
    lib, *names = sys.argv[1:]
    lines = [f' "{name}": {json.dumps(resource(Path(lib), name))}' for name in sorted(names)]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
