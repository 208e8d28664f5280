"""What a page says of a refusal: by field where it is about one, in the reader's language, and never with what was sent."""

from app.core.errors import AppError, FieldError
from app.core.i18n import N_, translate

# By an error's code.
REFUSALS = {
    "account_closed": N_("Nobody can use this account at the moment."),
    "attempt_invalid": N_("It took too long, or there were too many tries. Begin again with the first step."),
    "bulk_busy": N_("Four bulk actions are under way. Wait until one of them is done."),
    "bulk_not_running": N_("This bulk action is not under way any more."),
    "bulk_not_stopped": N_("This bulk action is not stopped."),
    "content_too_large": N_("What was sent is too large."),
    "csrf_refused": N_("The page was open for too long, or you signed in or out meanwhile. Open it again and try once more."),
    "email_taken": N_("This address already has an account. Sign in, or reset the password."),
    "forbidden": N_("You are not allowed to do this."),
    "impersonated": N_("You act as somebody else at the moment. Stop that first."),
    "insufficient_user_authentication": N_("Confirm first that it is you."),
    "internal_error": N_("Something went wrong on our side. Try again."),
    "job_running": N_("The job runs at this moment. Look again when it has ended."),
    "last_admin": N_("You are the only admin. Make somebody else one first."),
    "last_factor": N_("You must have a second factor here. Add another one before you remove the last."),
    "login_failed": N_("The username or the password is wrong."),
    "malformed_body": N_("What was sent could not be read. Open the page again and try once more."),
    "no_factor": N_("Recovery codes stand in for a second factor. Add one first."),
    "not_found": N_("There is nothing here. The link may be wrong or old."),
    "overloaded": N_("There is too much going on at the moment. Try again in a few seconds."),
    "other_browser": N_("This link was asked for in another browser."),
    "own_factors": N_("Another admin has to do this."),
    "passkey_not_added": N_("The passkey could not be added. Try again, or take another device."),
    "passkey_refused": N_(
        "This passkey was not accepted. It may have been removed here. Use another one, or sign in with your password."
    ),
    "passkeys_needed": N_(
        "To do without a password you need two passkeys that ask for a PIN or a finger, or one of them and recovery codes."
    ),
    "password_rejected": N_("Choose another password."),
    "password_wrong": N_("The current password is wrong."),
    "proof_wrong": N_("This is not right, or it was used before. Wait for a new code, or confirm in another way."),
    "registration_closed": N_("New accounts can't be made here at the moment."),
    "ticket_invalid": N_("It was used before, replaced by a newer one, or is too old. Ask for a new one."),
    "token_invalid": N_("You were signed out meanwhile. Sign in again."),
    "too_many_passkeys": N_("There is no room for another passkey. Remove one first."),
    "too_many_requests": N_("That was tried too often. Wait a moment and try again."),
    "too_many_tries": N_("There were too many failed tries. Wait a moment and try again."),
    "too_many_webhooks": N_("There is no room for another webhook. Remove one first."),
    "unauthenticated": N_("Sign in first."),
    "unavailable": N_("This can't be done at the moment. Try again in a few seconds."),
    "unsupported_media_type": N_("What was sent could not be read. Open the page again and try once more."),
    "username_taken": N_("This username is taken. Choose another one."),
    "validation_error": N_("Something in the form is not right."),
    "webhook_disabled": N_("The webhook is disabled. Enable it first."),
}
TITLES = {
    "attempt_invalid": N_("This sign-in can't go on"),
    "csrf_refused": N_("Please try again"),
    "forbidden": N_("Not allowed"),
    "impersonated": N_("Not while you act as somebody else"),
    "not_found": N_("Page not found"),
    "registration_closed": N_("No new accounts"),
    "ticket_invalid": N_("This link no longer works"),
    "too_many_requests": N_("Please wait a moment"),
    "too_many_tries": N_("Please wait a moment"),
}
TITLE = N_("That did not work")
# By the code of a field's fault: the rules on passwords (app/auth/password_rules.py), and what else needs words of its own.
FAULTS = {
    "changed_meanwhile": N_("The account was changed meanwhile. Look at it again before you go on."),
    "code_invalid": N_("This code is not right, or no longer good. After five wrong ones in a day only the link works."),
    "common": N_("This password is among those that attackers try first. Choose one that is yours alone."),
    "email_unchanged": N_("This is your address already."),
    "is_email": N_("The password is your mail address, or part of it, in disguise. Choose another one."),
    "is_product_name": N_("The password is the name of this service in disguise. Choose another one."),
    "is_username": N_("The password is your username in disguise. Choose another one."),
    "no_special_character": N_("The password needs a character that is neither a letter nor a digit. A space will do."),
    "too_long": N_("Use at most 128 characters."),
    "too_short": N_("The password is too short. Use at least %(least)s characters."),
    "username_reserved": N_("This username is reserved. Choose another one."),
    "url_refused": N_("This address does not lead to a host of the public internet."),
    "unprintable": N_("Control characters are not allowed."),
}
# By field, for all other faults of it.
FIELDS = {
    "code": N_("Type the 8 characters of the code in our message."),
    "current_password": N_("Type your current password."),
    "description": N_("Use at most 100 visible characters."),
    "display_name": N_("Use at most 64 visible characters."),
    "email": N_("Type a whole mail address, such as name@example.com."),
    "facts": N_("Choose at least one event."),
    "locale": N_("Choose one of the languages."),
    "name": N_("Use 1 to 64 visible characters."),
    "new_email": N_("Type a whole mail address, such as name@example.com."),
    "new_password": N_("Type a password."),
    "otp": N_("Type the six digits that the app shows."),
    "password": N_("Type a password."),
    "reason": N_("Say why, in 3 to 200 characters."),
    "recovery_code": N_("Type one of your recovery codes."),
    "sure": N_("Tick the box to confirm."),
    "url": N_("Type a whole address that begins with https://, without a user or password in it."),
    "username": N_("Use 3 to 32 letters (a to z) and digits, without spaces or accents."),
}
# By an error's code, the field that it is about: the first of these that the form has.
ABOUT = {
    "email_taken": ("email",),
    "username_taken": ("username",),
    "password_wrong": ("current_password",),
    "proof_wrong": ("otp", "recovery_code"),
}


def text_of(error: AppError, locale: str) -> str:
    """The refusal in a sentence."""
    return translate(locale, REFUSALS.get(error.code, REFUSALS["internal_error"]))


def title_of(error: AppError, locale: str) -> str:
    """The refusal as the title of a page of its own."""
    return translate(locale, TITLES.get(error.code, TITLE))


def fault_text(fault: FieldError, locale: str, least: int) -> str:
    """A field's fault in a sentence; a password has at least `least` characters."""
    field = str(fault.loc[-1]) if fault.loc else ""
    text = FAULTS.get(fault.code) or FIELDS.get(field, REFUSALS["validation_error"])
    return translate(locale, text, least=least) if "%(" in text else translate(locale, text)


def by_field(error: AppError, locale: str, least: int, shown: frozenset[str]) -> dict[str, str]:
    """What to say at which field of a form; under "" what is about none of the fields shown."""
    said: dict[str, list[str]] = {}
    for fault in error.errors:
        field = str(fault.loc[-1]) if fault.loc else ""
        text = fault_text(fault, locale, least)
        texts = said.setdefault(field if field in shown else "", [])
        if text not in texts:
            texts.append(text)
    if not said:
        is_code = error.code == "ticket_invalid" and "code" in shown
        about = ("code",) if is_code else ABOUT.get(error.code, ())
        said[next((field for field in about if field in shown), "")] = [
            translate(locale, FAULTS["code_invalid"]) if is_code else text_of(error, locale)
        ]
    return {field: " ".join(texts) for field, texts in said.items()}
