"""Accounts in a browser: addresses that are proved and changed, invitations, browser sessions, leaving

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

from app.database import ByteOrdered, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
ABOUT_ANOTHER = sa.text("(subject_id IS NULL OR subject_id <> actor_id)")
TICKET_OPEN = sa.text("spent_at IS NULL AND voided_at IS NULL")
SESSION_ENDED = sa.text("ended_at IS NOT NULL")
INVITATION_OPEN = sa.text("accepted_at IS NULL AND withdrawn_at IS NULL")


def upgrade() -> None:
    op.add_column("users", sa.Column("display_name", sa.String(length=64), nullable=True))
    op.add_column("users", sa.Column("locale", sa.String(length=8), nullable=True))
    op.add_column("users", sa.Column("leaving_at", UtcDateTime(), nullable=True))
    op.create_index(op.f("ix_users_leaving_at"), "users", ["leaving_at"], unique=False)

    op.add_column("sessions", sa.Column("cookie_digest", sa.LargeBinary(length=32), nullable=True))
    op.add_column("sessions", sa.Column("authenticated_at", UtcDateTime(), nullable=True))
    op.execute("UPDATE sessions SET authenticated_at = created_at")
    with op.batch_alter_table("sessions") as sessions:
        sessions.alter_column("authenticated_at", existing_type=UtcDateTime(), nullable=False)
    op.create_index("ix_sessions_ended", "sessions", ["user_id"], sqlite_where=SESSION_ENDED, postgresql_where=SESSION_ENDED)

    op.create_index(
        "ix_audit_events_about_another",
        "audit_events",
        ["actor_id", "id"],
        unique=False,
        sqlite_where=ABOUT_ANOTHER,
        postgresql_where=ABOUT_ANOTHER,
    )

    op.execute("ALTER TABLE tickets RENAME COLUMN user_id TO subject_id")
    op.add_column("tickets", sa.Column("binding", sa.LargeBinary(length=32), nullable=True))
    op.create_index(
        "ix_tickets_open_address", "tickets", ["address", "purpose"], sqlite_where=TICKET_OPEN, postgresql_where=TICKET_OPEN
    )
    op.create_table(
        "code_guesses",
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("guesses", sa.Integer(), nullable=False),
        sa.Column("forget_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_code_guesses")),
    )
    op.create_index(op.f("ix_code_guesses_forget_at"), "code_guesses", ["forget_at"], unique=False)

    op.create_table(
        "pending_registrations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("username_key", ByteOrdered(length=32), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_key", ByteOrdered(length=320), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("scheme", sa.String(length=64), nullable=False),
        sa.Column("locale", sa.String(length=8), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("reserved_until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_registrations")),
        sa.UniqueConstraint("username_key", name=op.f("uq_pending_registrations_username_key")),
    )
    op.create_index(
        op.f("ix_pending_registrations_email_key_created_at"), "pending_registrations", ["email_key", "created_at"], unique=False
    )
    op.create_index(op.f("ix_pending_registrations_reserved_until"), "pending_registrations", ["reserved_until"], unique=False)

    op.create_table(
        "email_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("old_email", sa.String(length=320), nullable=False),
        sa.Column("old_email_key", ByteOrdered(length=320), nullable=False),
        sa.Column("new_email", sa.String(length=320), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("undone_at", UtcDateTime(), nullable=True),
        sa.Column("forget_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_changes")),
    )
    op.create_index(op.f("ix_email_changes_user_id_requested_at"), "email_changes", ["user_id", "requested_at"], unique=False)
    op.create_index(op.f("ix_email_changes_old_email_key"), "email_changes", ["old_email_key"], unique=False)
    op.create_index(op.f("ix_email_changes_forget_at"), "email_changes", ["forget_at"], unique=False)

    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_key", ByteOrdered(length=320), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.Column("accepted_by", sa.Uuid(), nullable=True),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
    )
    op.create_index(op.f("ix_invitations_created_at_id"), "invitations", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_invitations_expires_at"), "invitations", ["expires_at"], unique=False)
    op.create_index(
        "uq_invitations_open",
        "invitations",
        ["email_key"],
        unique=True,
        sqlite_where=INVITATION_OPEN,
        postgresql_where=INVITATION_OPEN,
    )


def downgrade() -> None:
    op.drop_table("invitations")
    op.drop_table("email_changes")
    op.drop_table("pending_registrations")
    op.drop_table("code_guesses")
    op.drop_index("ix_tickets_open_address", table_name="tickets")
    op.drop_column("tickets", "binding")
    op.execute("ALTER TABLE tickets RENAME COLUMN subject_id TO user_id")
    op.drop_index("ix_audit_events_about_another", table_name="audit_events")
    op.drop_index("ix_sessions_ended", table_name="sessions")
    op.drop_column("sessions", "authenticated_at")
    op.drop_column("sessions", "cookie_digest")
    op.drop_index(op.f("ix_users_leaving_at"), table_name="users")
    op.drop_column("users", "leaving_at")
    op.drop_column("users", "locale")
    op.drop_column("users", "display_name")
