"""What can be wrong with an invitation."""

from app.core.errors import NotFound


class InvitationNotFound(NotFound):
    """None that is open."""

    title = "No such invitation"
