"""What can be wrong with a change of address, beside its link."""

from app.core.errors import FieldError, Invalid


class EmailUnchanged(Invalid):
    """The address is the account's already."""

    def __init__(self) -> None:
        super().__init__(errors=[FieldError(("body", "new_email"), "email_unchanged", "This is your address already")])
