"""The local Azure as a part of the stack: it starts, is filled, and has everything again after a restart."""

from datetime import date
from pathlib import Path

from localcloud.sample.azure.export import CONTAINER
from localcloud.sample.azure.tenant import azure_writer, load_azure
from localcloud.settings import LocalSettings
from localcloud.stack import Stack


def test_what_the_sample_has_loaded_is_there_after_a_restart(tmp_path: Path) -> None:
    settings = LocalSettings.on_free_ports(tmp_path / "state")
    endpoint, ca = f"https://{settings.address('azure')}", settings.certs_dir / "ca.pem"

    def load() -> list[tuple[str, int]]:
        load_azure(endpoint, ca, today=date(2026, 11, 3), issuer="http://issuer.example", tenant_id="acme_corp")
        return listed()

    def listed() -> list[tuple[str, int]]:
        with azure_writer(endpoint, ca) as container:
            assert container.container_name == CONTAINER
            return [(blob.name, blob.size) for blob in container.list_blobs()]

    with Stack(settings, only=("azure",), auto_restart=False) as stack:
        loaded = load()
        assert len(loaded) == 9, "two months and one as CSV, of two files and a manifest each"
        assert load() == loaded, "repeating it changes nothing"
        stack.kill("azure")
        stack.restart("azure")

        assert listed() == loaded
    assert not any("~" in path.read_text(errors="replace") for path in settings.logs_dir.iterdir()), "no secret in its log"
