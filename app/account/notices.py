"""What a page says was done, by the word that the redirect before it carries: a closed list, so no link makes us say more."""

from app.core.i18n import N_, translate

NOTICES = {
    "address-asked": N_("We have sent a link to the new address. Open it to make the change."),
    "address-changed": N_("Your mail address was changed."),
    "address-undone": N_("The change was undone. We have sent you a link to choose a new password."),
    "app-added": N_("The authenticator app counts from now on. Make recovery codes, in case you lose it."),
    "app-removed": N_("The authenticator app was removed."),
    "devices-forgotten": N_("Every device will be asked for the second factor again."),
    "invited": N_("Your account is ready. Sign in with your username and password."),
    "left": N_("You are signed out, and the account will be erased in 7 days. Sign in before then if you change your mind."),
    "mailed": N_("If the address has an account, a message is on its way."),
    "passkey-added": N_("The passkey was added."),
    "passkey-removed": N_("The passkey was removed. Remove it from your device, too."),
    "passkey-renamed": N_("The passkey has a new name."),
    "password-removed": N_("Your account has no password any more. You sign in with a passkey."),
    "password-changed": N_("Your password was changed, and every other device was signed out."),
    "password-reset": N_("Your password was changed. Sign in with the new one."),
    "profile-saved": N_("Saved."),
    "registered": N_("Welcome! We have sent you a message to confirm your mail address."),
    "registration-mailed": N_("Almost done: a message is on its way to you."),
    "session-ended": N_("That device was signed out."),
    "sessions-ended": N_("All other devices were signed out."),
    "session-ended-by-mail": N_("That device was signed out. If the sign-in was not yours, reset your password now."),
    "setup-ended": N_("Setting up the app took too long. Begin again."),
    "signed-out": N_("You are signed out."),
    "verified": N_("Your mail address is confirmed."),
    "verified-account": N_("Your mail address is confirmed, and your account is ready. Sign in."),
    "verify-mailed": N_("If the address waits to be confirmed, a message is on its way."),
}


def notice(word: str, locale: str) -> str:
    """The sentence for a word; nothing for one that is not ours."""
    return translate(locale, NOTICES.get(word, ""))
