"""The audit log is chained

Revision: 0006, after 0005

Rows from before are made ready here: what of their data may name somebody moves to a column of its own, and each gets salts. The
sealer then takes them in first, in the order of their ids, as rows that nobody marked.
"""

import sqlalchemy as sa
from alembic import op

from app.core.crypto import random_128
from app.database import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

AT_ONCE = 2_000
# As it was when these rows were written: what of `data` names nobody.
IMPERSONAL = frozenset(
    {
        "after",
        "before",
        "by",
        "ended",
        "fields",
        "invitation",
        "method",
        "owed",
        "passkey",
        "reason",
        "required",
        "role",
        "stopped",
    }
)
BEGINNING = bytes.fromhex("5db60e02d056123064cdae2030338795d2addfafc95fb51b372f3f68ca22346e")  # the digest of authkeep/audit/1


def upgrade() -> None:
    op.add_column("audit_events", sa.Column("personal", sa.JSON(), nullable=True))
    op.add_column("audit_events", sa.Column("impersonator_id", sa.Uuid(), nullable=True))
    op.add_column("audit_events", sa.Column("client_salt", sa.LargeBinary(length=16), nullable=True))
    op.add_column("audit_events", sa.Column("personal_salt", sa.LargeBinary(length=16), nullable=True))
    op.add_column("audit_events", sa.Column("client_digest", sa.LargeBinary(length=32), nullable=True))
    op.add_column("audit_events", sa.Column("personal_digest", sa.LargeBinary(length=32), nullable=True))
    op.add_column("audit_events", sa.Column("position", sa.BigInteger(), nullable=True))
    op.add_column("audit_events", sa.Column("seal", sa.LargeBinary(length=32), nullable=True))
    op.add_column("audit_events", sa.Column("mark", sa.LargeBinary(length=20), nullable=True))
    _make_ready()
    unsealed, sealed = sa.text("position IS NULL"), sa.text("position IS NOT NULL")
    op.create_index("ix_audit_events_unsealed", "audit_events", ["id"], sqlite_where=unsealed, postgresql_where=unsealed)
    op.create_index(
        "uq_audit_events_position", "audit_events", ["position"], unique=True, sqlite_where=sealed, postgresql_where=sealed
    )
    rare = sa.text(
        "fact NOT IN ('session.ended', 'user.login.failed', 'user.login.step_owed', 'user.login.succeeded',"
        " 'user.reauthenticated')"
    )
    op.create_index("ix_audit_events_rare", "audit_events", ["fact", "id"], sqlite_where=rare, postgresql_where=rare)
    op.create_index(op.f("ix_audit_events_address_id"), "audit_events", ["address", "id"])

    chain = op.create_table(
        "audit_chain",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary(length=32), nullable=False),
        sa.Column("taken_in_to", sa.BigInteger(), nullable=True),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("head_position", sa.BigInteger(), nullable=False),
        sa.Column("head_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_chain")),
    )
    is_empty = op.get_bind().scalar(sa.text("SELECT id FROM audit_events LIMIT 1")) is None
    taken_in_to = 0 if is_empty else None
    op.bulk_insert(chain, [{"name": "chain", "position": 0, "seal": BEGINNING, "taken_in_to": taken_in_to, "head_position": 0}])
    op.create_table(
        "audit_heads",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.String(length=600), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_heads")),
    )


def _make_ready() -> None:
    connection = op.get_bind()
    events = sa.table(
        "audit_events",
        sa.column("id", sa.BigInteger),
        sa.column("data", sa.JSON),
        sa.column("personal", sa.JSON),
        sa.column("client_salt", sa.LargeBinary),
        sa.column("personal_salt", sa.LargeBinary),
    )
    change = (
        sa.update(events)
        .where(events.c.id == sa.bindparam("row_id"))
        .values(
            client_salt=sa.bindparam("client"),
            personal_salt=sa.bindparam("naming"),
            data=sa.bindparam("kept"),
            personal=sa.bindparam("moved"),
        )
    )
    last = 0
    while True:
        query = sa.select(events.c.id, events.c.data).where(events.c.id > last).order_by(events.c.id).limit(AT_ONCE)
        rows = connection.execute(query).all()
        if not rows:
            return
        connection.execute(
            change,
            [
                {
                    "row_id": row_id,
                    "client": random_128(),
                    "naming": random_128(),
                    "kept": {name: value for name, value in data.items() if name in IMPERSONAL},
                    "moved": {name: value for name, value in data.items() if name not in IMPERSONAL},
                }
                for row_id, data in rows
            ],
        )
        last = rows[-1].id


def downgrade() -> None:
    op.drop_table("audit_heads")
    op.drop_table("audit_chain")
    op.drop_index("ix_audit_events_address_id", table_name="audit_events")
    op.drop_index("ix_audit_events_rare", table_name="audit_events")
    op.drop_index("uq_audit_events_position", table_name="audit_events")
    op.drop_index("ix_audit_events_unsealed", table_name="audit_events")
    connection = op.get_bind()
    events = sa.table("audit_events", sa.column("id", sa.BigInteger), sa.column("data", sa.JSON), sa.column("personal", sa.JSON))
    named = sa.select(events).where(sa.cast(events.c.personal, sa.Text) != "{}")
    for row in connection.execute(named).all():
        connection.execute(sa.update(events).where(events.c.id == row.id).values(data={**row.data, **row.personal}))
    for name in (
        "mark",
        "seal",
        "position",
        "personal_digest",
        "client_digest",
        "personal_salt",
        "client_salt",
        "impersonator_id",
        "personal",
    ):
        op.drop_column("audit_events", name)
