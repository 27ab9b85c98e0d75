"""Whose line a site is on, and the figures of months."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.add_column("sites", sa.Column("carrier", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "months",
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_months")),
    )
    op.create_table(
        "month_figures",
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("found_in", sa.Text(), nullable=False),
        sa.Column("computed_ms", sa.BigInteger(), nullable=False),
        sa.Column("tally", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("month", "site", "found_in", name=op.f("pk_month_figures")),
    )
    op.create_index(op.f("ix_month_figures_found_in"), "month_figures", ["found_in"], unique=False)
