"""Caches ZetaSQL's compiled form: compiling its WebAssembly takes 25 CPU seconds, in every process."""

from pathlib import Path

import zetasql.core.wasm_client
from wasmtime import Config

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "wasmtime"


def keep_compiled() -> None:
    """Must be called before ZetaSQL is used for the first time. Its client has no setting for this, hence the patch."""
    CACHE.mkdir(parents=True, exist_ok=True)
    settings = CACHE / "cache.toml"
    settings.write_text(f'[cache]\ndirectory = "{CACHE}"\n')

    def configure() -> Config:
        config = Config()
        config.cache = str(settings)
        return config

    zetasql.core.wasm_client.Config = configure
