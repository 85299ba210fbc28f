"""Writes what each image contains, as CycloneDX 1.5, with the licences: `python -m tools.sbom UV` (the path of uv).

`gen/sbom-{image}.cdx.json` and `gen/licences.md`. Versions and hashes are those of uv.lock. Ends with 1 if a licence is not allowed.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tools.licences import EXCEPTIONS, IMAGES, NO_SPDX, ROOT, PackageLicence, packages, problem_of


def with_licences(document: dict[str, Any], found: Mapping[str, PackageLicence]) -> dict[str, Any]:
    """The document with the licence of each component that is known."""
    components = [
        {**component, "licenses": [_to_cyclonedx(known.licence)]}
        if (known := found.get(component["name"])) and known.licence
        else component
        for component in document["components"]
    ]
    return {**document, "components": components}


def _to_cyclonedx(licence: str) -> dict[str, Any]:
    """An SPDX expression; a name, where the metadata say less than that."""
    return {"license": {"name": licence}} if NO_SPDX in licence.split() else {"expression": licence}


def listed(image: str, found: list[PackageLicence]) -> str:
    """A table of Markdown."""
    rows = [f"| {one.name} | {one.version} | {one.licence or 'not installed on this platform'} |" for one in found]
    return "\n".join([f"## Image `{image}`", "", "| package | version | licence |", "|---|---|---|", *rows, ""])


def main(uv: str) -> int:
    """The exit status."""
    problems, pages = set[str](), ["# Licences of what the images contain, from uv.lock\n"]
    for image, contents in IMAGES.items():
        command = [uv, "export", "--quiet", "--frozen", "--no-emit-project", "--format", "cyclonedx1.5", *contents.options]
        document = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        found = packages(contents)
        path = ROOT / "gen" / f"sbom-{image}.cdx.json"
        path.write_text(json.dumps(with_licences(document, {one.name: one for one in found}), indent=1))
        pages.append(listed(image, found))
        problems |= {problem for one in found if (problem := problem_of(one))}
        print(f"{path.relative_to(ROOT)}: {len(document['components'])} components")
    (ROOT / "gen" / "licences.md").write_text("\n".join(pages))
    print(f"gen/licences.md; looked at and allowed: {', '.join(f'{name} ({licence})' for name, licence in EXCEPTIONS.items())}")
    for problem in sorted(problems):
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
