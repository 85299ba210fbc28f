"""The console's cookies. With `secure`, their names begin with `__Host-`, so that no other host and no plain HTTP can set them."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, kw_only=True, slots=True)
class Cookie:
    """One of them: HttpOnly, SameSite=Strict, for this host alone."""

    purpose: str
    secure: bool
    same_site_lax: bool = False
    """For what has to survive the way back from another site."""

    @property
    def name(self) -> str:
        """As the browser has it."""
        return f"__Host-{self.purpose}" if self.secure else f"convergence-{self.purpose}"

    def read(self, request: Request) -> str:
        """Its value; empty if there is none."""
        return request.cookies.get(self.name, "")

    def set(self, response: Response, value: str, *, seconds: int | None = None) -> None:
        """Without `seconds` it lasts as long as the browser."""
        response.set_cookie(
            self.name,
            value,
            max_age=seconds,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax" if self.same_site_lax else "strict",
        )

    def delete(self, response: Response) -> None:
        """Takes it away."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="strict")
