"""Whether the services' certificates are there, fit, and last."""

from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from services.doctor.finding import Finding
from services.doctor.world import World
from services.platform.tls.files import TlsFiles, expiry_of, problem_of, read

SOON = timedelta(days=14)
_RENEW = "kubectl get certificate,secret   # renewed files are used without a restart; on a laptop: rm -r .local/certs && make up"


async def look(world: World) -> list[Finding]:
    """Reads `CONVERGENCE_TLS_DIR`."""
    found = []
    for name in world.names:
        files = _read(world.settings.tls_dir, name)
        if isinstance(files, Finding):
            found.append(files)
        else:
            found += judge(name, files, world.settings.spiffe_id, world.now)
    # Several services on one machine share their authorities.
    return list({(one.name, one.subject): one for one in found}.values())


def judge(name: str, files: TlsFiles, spiffe_id: str | None, now: datetime) -> list[Finding]:
    """Pure."""
    if problem := problem_of(files, now):
        text = f"{name} does not use its certificate: {problem}. Its peers and the gateway cannot talk to it."
        return [Finding(name="certificate-unfit", subject=name, problem=text, mend=_RENEW)]
    found = []
    wanted = {f"{name}.convergence.internal", *([spiffe_id.format(service=name)] if spiffe_id else [])}
    if not wanted & (names := _names(files)):
        has, should = ", ".join(sorted(names)) or "no name", " or ".join(sorted(wanted))
        text = f"The certificate of {name} is for {has}, not for {should}: peers refuse it."
        found.append(Finding(name="certificate-unfit", subject=name, problem=text, mend=_RENEW))
    expiry = expiry_of(files)
    for subject, ends in ((name, expiry.own), ("ca.pem", expiry.authorities)):
        if ends - now <= SOON:
            text = f"The certificate of {subject} expires at {ends:%Y-%m-%d %H:%M} UTC, in {max((ends - now).days, 0)} days."
            found.append(Finding(name="certificate-expiring", subject=subject, problem=text, mend=_RENEW))
    return found


def _read(folder: Path, name: str) -> TlsFiles | Finding:
    try:
        return read(folder, name)
    except OSError as error:
        text = f"{error.filename} cannot be read ({error.strerror}): {name} does not start."
        mend = "kubectl describe pod   # is the secret mounted at CONVERGENCE_TLS_DIR? On a laptop: make up"
        return Finding(name="certificate-missing", subject=name, problem=text, mend=mend)


def _names(files: TlsFiles) -> set[str]:
    certificate = x509.load_pem_x509_certificates(files.certificate)[0]
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*found.get_values_for_type(x509.DNSName), *found.get_values_for_type(x509.UniformResourceIdentifier)}
