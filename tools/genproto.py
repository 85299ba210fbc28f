"""Generates `gen/`: Python stubs and typings for every proto, and the descriptor set that Envoy, buf and the OpenAPI page read.

Usage: `python tools/genproto.py [OUT]`, OUT defaulting to `gen`. Needs no network: google's own protos come from the installed packages.
"""

import importlib.resources
import shutil
import sys
import sysconfig
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
# Envoy can print only error details whose types it knows.
ALSO_DESCRIBED = ["google/rpc/error_details.proto", "google/rpc/status.proto"]


def generate(out: Path) -> None:
    protos = ROOT / "protos"
    files = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    includes = [
        f"-I{protos}",
        f"-I{importlib.resources.files('grpc_tools') / '_proto'}",
        f"-I{sysconfig.get_path('purelib')}",
    ]
    shutil.rmtree(out / "convergence", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    plugin = f"--plugin=protoc-gen-mypy={Path(sys.executable).with_name('protoc-gen-mypy')}"
    grpc_plugin = f"--plugin=protoc-gen-mypy_grpc={Path(sys.executable).with_name('protoc-gen-mypy_grpc')}"
    stubs = [f"--python_out={out}", f"--grpc_python_out={out}", f"--mypy_out=quiet:{out}", f"--mypy_grpc_out=quiet:{out}"]
    descriptors = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out / 'descriptor.binpb'}"]
    if protoc.main(["protoc", plugin, grpc_plugin, *includes, *stubs, *files]):
        raise SystemExit("protoc failed: see its message above")
    if protoc.main(["protoc", *includes, *descriptors, *files, *ALSO_DESCRIBED]):
        raise SystemExit("protoc failed: see its message above")
    for folder in (out / "convergence").rglob("*"):
        if folder.is_dir():
            (folder / "__init__.py").touch()
    # `convergence` itself is a namespace package, without an __init__.py: the client adds `convergence.client` to it from elsewhere.
    for package in (out / "convergence").iterdir():
        (package / "py.typed").touch()


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")
