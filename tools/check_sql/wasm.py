"""Makes ZetaSQL's client quick. It has no settings for this, hence the patches."""

import ctypes
from pathlib import Path

import zetasql.core.wasm_client
from wasmtime import Config
from zetasql.core.wasm_client import WasmClient

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "wasmtime"


def make_quick() -> None:
    """Must be called before ZetaSQL is used for the first time."""
    _keep_compiled()
    _copy_whole_messages()


def _keep_compiled() -> None:
    """Compiling ZetaSQL's WebAssembly takes 25 CPU seconds, in every process."""
    CACHE.mkdir(parents=True, exist_ok=True)
    settings = CACHE / "cache.toml"
    settings.write_text(f'[cache]\ndirectory = "{CACHE}"\n')

    def configure() -> Config:
        config = Config()
        config.cache = str(settings)
        return config

    zetasql.core.wasm_client.Config = configure


def _copy_whole_messages() -> None:
    """The client copies byte by byte in Python; some answers have a megabyte."""

    def write(client: WasmClient, place: int, data: bytes) -> None:
        ctypes.memmove(_address(client, place, len(data)), data, len(data))

    def read(client: WasmClient, place: int, size: int) -> bytes:
        return ctypes.string_at(_address(client, place, size), size)

    WasmClient.write_bytes, WasmClient.read_bytes = write, read


def _address(client: WasmClient, place: int, size: int) -> int:
    """Raises IndexError for what lies outside ZetaSQL's memory."""
    if not 0 <= place <= place + size <= client.memory.data_len():
        raise IndexError(f"{size} bytes at {place} are outside the memory")
    start = ctypes.cast(client.memory.data_ptr(), ctypes.c_void_p).value or 0
    return start + place
