"""What can be wrong with second factors."""

from app.core.errors import AppError, NotFound


class FactorNotFound(NotFound):
    """No such factor of one's own; or none that waits to be confirmed (any more)."""

    title = "No such factor"


class NoFactor(AppError):
    """Recovery codes stand in for a second factor, and there is none."""

    code, status, title = "no_factor", 409, "Add a second factor first"


class OwnFactors(AppError):
    """Admins neither require nor reset factors of their own: whoever took over a session could."""

    code, status, title = "own_factors", 409, "Another admin has to do this"
