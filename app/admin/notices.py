"""What a page of the console says was done, by the word that the redirect before it carries: a closed list."""

from app.core.i18n import N_, translate

NOTICES = {
    "created": N_("The account was made."),
    "deleted": N_("The account was deleted."),
    "done": N_("Done."),
    "invited": N_("The invitation is on its way."),
    "mailed": N_("A mail is on its way."),
    "acting-ended": N_("You act as yourself again."),
    "bulk-resumed": N_("It goes on, in your name."),
    "bulk-started": N_("It has begun. You may leave this page; it goes on without you."),
    "bulk-stopped": N_("It is stopped. What was done stays done."),
    "job-discarded": N_("The job was discarded."),
    "job-gone": N_("The job is done, or somebody discarded it."),
    "job-retried": N_("The job is tried now."),
    "saved": N_("Saved."),
    "webhook-deleted": N_("The webhook was removed."),
    "webhook-disabled": N_("The webhook is disabled. It is told of nothing that happens meanwhile."),
    "webhook-enabled": N_("The webhook is enabled. It is told of what happens from here on."),
    "webhook-replayed": N_("It is sent again now."),
    "webhook-tested": N_("A test is on its way."),
}


def notice(word: str, locale: str) -> str:
    """The sentence for a word; nothing for one that is not ours."""
    return translate(locale, NOTICES.get(word, ""))
