"""What time series are behind with, and what they have of faults, tickets and the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them, and note that all faults, tickets and sites are still to be written."""
    op.create_table(
        "series_changes",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("what", "key", name=op.f("pk_series_changes")),
    )
    op.create_table(
        "series_points",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("what", "key", name=op.f("pk_series_points")),
    )
    op.create_index(op.f("ix_series_points_site"), "series_points", ["site"], unique=False)
    op.create_table(
        "series_ledger",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=False),
        sa.Column("was", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "from_ms", name=op.f("pk_series_ledger")),
        sqlite_with_rowid=False,
    )
    for what, column, table in (("fault", "id", "faults"), ("ticket", "number", "tickets"), ("ledger", "id", "sites")):
        op.execute(
            f"INSERT INTO series_changes (what, key, since_ms) SELECT '{what}', CAST({column} AS TEXT), 0 FROM {table}"  # noqa: S608 - names are ours
        )
