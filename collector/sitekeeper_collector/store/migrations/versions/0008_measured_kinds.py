"""What is measured of each sample beside the ladder, and how often a fault has opened."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them. Spans of before say nothing of what was not looked at then."""
    op.add_column("spans", sa.Column("marks", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("spans", sa.Column("io_errors", sa.Integer(), server_default="-1", nullable=False))
    op.add_column("faults", sa.Column("opens", sa.Integer(), server_default="1", nullable=False))
