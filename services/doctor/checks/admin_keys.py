"""Whether operators and jobs can call at all."""

from services.doctor.finding import Finding
from services.doctor.world import World
from services.platform.settings import ServiceSettings

ROLES = ("provisioner", "scheduler")


async def look(world: World) -> list[Finding]:
    """Looks at the settings alone."""
    return judge(world.settings)


def judge(settings: ServiceSettings) -> list[Finding]:
    """A finding for each role that neither a key nor a trusted issuer gives. Pure."""
    given = {key.role for key in settings.admin_keys} | {rule.role for issuer in settings.oidc for rule in issuer.rules}
    return [
        Finding(
            name="admin-keys-missing",
            subject=role,
            problem=f"No admin key and no trusted issuer gives the role {role}: every such call is refused.",
            mend=f"""printf %s "$KEY" | sha256sum   # CONVERGENCE_ADMIN_KEYS='[{{"role": "{role}", "sha256": "..."}}]' for all services""",
        )
        for role in ROLES
        if role not in given
    ]
