"""Takes away from installed packages what no program of ours loads: `python tools/slim_packages.py [site-packages]`.

A third of pyarrow, what botocore knows of services that we do not call, and the symbols of libraries for debuggers. Part of the Dockerfile.
A program that needs one of these after all gets an ImportError; `make containers` runs everything on what is left.
"""

import shutil
import struct
import sys
from pathlib import Path

ELF_64 = b"\x7fELF\x02\x01"
"""How a library of Linux begins, of 64 bits, the lowest byte of a number first."""
HEADER_BYTES = 64

UNUSED = (
    # Headers and sources for those who compile against it, and its tests.
    "pyarrow/include",
    "pyarrow/includes",
    "pyarrow/src",
    "pyarrow/tests",
    "pyarrow/*.pxd",
    "pyarrow/*.pyx",
    "pyarrow/*.pxi",
    # Arrow Flight, and S3 in C++: files are read by botocore.
    "pyarrow/libarrow_flight.so*",
    "pyarrow/_flight.*",
    "pyarrow/libarrow_python_flight.so*",
    "pyarrow/libarrow_s3.so*",
    "pyarrow/_s3fs.*",
    # Copies of one file, for linkers.
    "pyarrow/libarrow_python.so",
    "pyarrow/libarrow_python.so.*.*",
    # Other versions of the same interface, and the same for asyncio.
    "google/cloud/bigquery_storage_v1?*/",
    "azure/storage/blob/aio",
    "azure/storage/blob/_generated/aio",
    "azure/identity/aio",
    # How google-auth signs where there is no cryptography.
    "pyasn1",
    "pyasn1_modules",
    # Another way into the same library, for interpreters that are not CPython.
    "zstandard/_cffi.*",
    # V8, in which BigQuery's emulator runs functions in JavaScript: no statement of ours has one.
    "py_mini_racer/libmini_racer.so",
    "py_mini_racer/icudtl.dat",
    # DuckDB's functions of places: no statement of ours has one (localcloud/bigquery/sql/geography.py).
    "duckdb_extension_spatial",
    # What local-bigquery keeps projects in, and we do not (localcloud/bigquery/engine/files.py).
    "duckdb_extension_ducklake",
    "croniter/tests",
    "numpy/**/tests",
    "botocore/data/*/",
    "moto/*/",
)
KEPT = frozenset(
    {
        *(f"botocore/data/{service}" for service in ("s3", "sts", "iam")),
        *(f"moto/{part}" for part in ("core", "moto_api", "moto_server", "packages", "utilities", "__pycache__")),
        *(f"moto/{service}" for service in ("s3", "s3bucket_path", "sts", "iam", "cloudwatch", "events")),
    }
)
"""The services of AWS that we call, and those that moto's emulators of them import."""


def slim(packages: Path) -> int:
    """Deletes them below `packages`, a site-packages; returns how many bytes that were."""
    freed = 0
    for pattern in UNUSED:
        for path in sorted(packages.glob(pattern)):
            if path.is_dir() and path.relative_to(packages).as_posix() not in KEPT:
                freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                shutil.rmtree(path)
            elif path.is_file():
                freed += path.stat().st_size
                path.unlink()
    return freed + sum(cut(path) for path in packages.rglob("*.so*") if path.is_file() and not path.is_symlink())


def cut(library: Path) -> int:
    """Takes away what is behind all that the loader reads: symbols for debuggers, and the table of sections, which linkers read. Returns
    how many bytes that were. What programs call by name is in a segment, and stays. A file that is no such library stays as it is.
    """
    content = bytearray(library.read_bytes())
    if not content.startswith(ELF_64) or len(content) < HEADER_BYTES:
        return 0
    (first,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    segments = [struct.unpack_from("<8xQ16xQ", content, first + size * number) for number in range(count)]
    end: int = max(HEADER_BYTES, first + size * count, *(offset + length for offset, length in segments))
    if end >= len(content):
        return 0
    struct.pack_into("<Q", content, 40, 0)  # where the table of sections begins,
    struct.pack_into("<3H", content, 58, 0, 0, 0)  # the size of its entries, their number, and which one has their names
    # Another file in its place: uv may have linked this one to its cache, and so to other environments.
    shorter = library.with_name(f"{library.name}.cut")
    shorter.write_bytes(content[:end])
    shutil.copymode(library, shorter)
    shorter.replace(library)
    return len(content) - end


if __name__ == "__main__":
    [installed] = [Path(one) for one in sys.argv[1:]] or Path(".venv").glob("lib/python*/site-packages")
    print(f"{slim(installed) / 1e6:.0f} MB less in {installed}")
