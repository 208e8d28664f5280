"""Mail: what is sent, as text and HTML; who takes it; the dev mailbox.

Owns: table dev_mails, /dev/mailbox, templates/mail. Needs: jobs.
"""
