"""What a Debian machine without Docker and without a registry needs to build and run containers, each with its reason.

Everything is made in one folder, and nothing outside of it is changed but the packages that are installed.
"""

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from tools.containers.container_engine import output, run

PACKAGES: Final = ("podman", "buildah", "runc", "netavark", "aardvark-dns", "debootstrap", "iptables")
"""aardvark-dns resolves parts by their names; the rest is what podman builds and runs with."""
BASE: Final = "docker.io/library/python"
"""What the Dockerfile calls its base, in full."""
RELEASE: Final = "trixie"
"""Of Debian, of which the real base is made; its Python is 3.13, too."""
AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")

# runc may raise limits only with CAP_SYS_RESOURCE, which a machine that is itself a sandbox does not give to root: the container's
# process then keeps those of the machine. crun, podman's default, refuses to start where cgroups v1 and v2 are mixed.
RUNTIME: Final = """\
#!{python}
import json, os, pathlib, sys
for option, file in (("--bundle", "config.json"), ("--process", "")):  # a container's, that of a program beside it
    if option in sys.argv:
        path = pathlib.Path(sys.argv[sys.argv.index(option) + 1], file)
        config = json.loads(path.read_text())
        config.get("process", config).pop("rlimits", None)
        path.write_text(json.dumps(config))
os.execv("/usr/sbin/runc", ["runc", *sys.argv[1:]])
"""
# cgroupfs and file: there is no systemd. All folders are ours, so that what podman may have here already is not touched.
CONTAINERS_CONF: Final = """\
[engine]
runtime = "runc-without-limits"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/run/libpod"
[engine.runtimes]
runc-without-limits = ["{folder}/runc"]
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE_CONF: Final = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run/storage"
"""
NO_SYSTEMD: Final = {"DISABLE_HC_SYSTEMD": "true"}
"""There are no timers for health checks then: who starts containers asks them."""
FILES: Final = {
    "CONTAINERS_CONF": CONTAINERS_CONF,
    "CONTAINERS_STORAGE_CONF": STORAGE_CONF,
    "CONTAINERS_REGISTRIES_CONF": 'unqualified-search-registries = ["docker.io"]\n',
}
"""By the variables that name them."""


def install() -> None:
    """The packages that are missing. They stay."""
    known = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${Status}\n", *PACKAGES], check=False, capture_output=True, text=True
    )
    missing = [name for name in PACKAGES if f"{name} install ok installed" not in known.stdout]
    if missing:
        print(f"installing {' '.join(missing)}; `apt-get purge --autoremove` of these takes them away again", flush=True)
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing, env={"DEBIAN_FRONTEND": "noninteractive"})


def environment(folder: Path) -> dict[str, str]:
    """What makes podman read its configuration in the folder. A build's steps run in a chroot: they need no namespaces of their own, whose
    cgroups could not be made here.
    """
    read = {name: str(folder / name.lower()) for name in FILES}
    return {**read, "TMPDIR": str(folder / "tmp"), "BUILDAH_ISOLATION": "chroot", **NO_SYSTEMD}


def configure(folder: Path) -> None:
    """Writes podman's configuration into the folder."""
    for name in ("tmp", "networks", "run"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    wrapper = folder / "runc"
    wrapper.write_text(RUNTIME.format(python=sys.executable))
    wrapper.chmod(0o755)
    for name, text in FILES.items():
        (folder / name.lower()).write_text(text.format(folder=folder))


def mirror() -> str:
    """Where apt gets Debian from here."""
    listed = output("apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages").split()
    return next(one for one in listed if one.rstrip("/").endswith("/debian"))


def base_image(folder: Path, tag: str, env: dict[str, str]) -> None:
    """Makes an image under the name that the Dockerfile builds on, which cannot be pulled: Debian with its Python, from Debian's mirror."""
    root = folder / "base"
    packages = "python3,python3-pip,python-is-python3,ca-certificates"
    run("debootstrap", "--variant=minbase", f"--include={packages}", RELEASE, root, mirror())
    # Debian's pip installs only into environments; the real base's also into its own Python.
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for leftover in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / leftover)
        (root / leftover).mkdir()
    # Where a proxy signs for the internet, PyPI and npm have certificates of authorities that this machine knows and Debian does not.
    shutil.copyfile(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
    trusted = {"PIP_CERT": str(AUTHORITIES), "SSL_CERT_FILE": str(AUTHORITIES), "UV_SYSTEM_CERTS": "1"}
    changes = [f"--change=ENV {name}={value}" for name, value in trusted.items()]
    with subprocess.Popen(["tar", "--create", "--directory", root, "."], stdout=subprocess.PIPE) as archive:
        run("podman", "import", "--quiet", *changes, "-", f"{BASE}:{tag}", env=env, stdin=archive.stdout)
    remove(root)


def remove(folder: Path) -> None:
    """Deletes a folder, after unmounting what is mounted below it: what is mounted belongs to others."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for path in sorted((one for one in mounted if Path(one).is_relative_to(folder)), reverse=True):
        run("umount", path)
    run("rm", "--recursive", "--force", "--one-file-system", folder)


def remove_groups() -> None:
    """The empty groups that podman leaves in each of the kernel's hierarchies."""
    for path in sorted(Path("/sys/fs/cgroup").glob("*/libpod_parent/**/"), reverse=True):
        with suppress(OSError):
            path.rmdir()
