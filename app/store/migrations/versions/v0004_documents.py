"""Documents: revisions, archives, places, languages; and vectors that were paid for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_EMPTY = sa.text("'[]'")


def upgrade() -> None:
    op.create_table(
        "embeddings",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("text_sha256", sa.String(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "text_sha256"),
    )
    op.add_column("corpora", sa.Column("embedder", sa.String(), nullable=True))
    op.execute("UPDATE corpora SET embedder = 'hashed' WHERE embedder_fingerprint IS NOT NULL")
    op.add_column("chunks", sa.Column("place", sa.String(), nullable=True))
    for column in (
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("archive_id", sa.String(), nullable=True),
        sa.Column("encoding", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("pending", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("changes", sa.JSON(), nullable=True),
        sa.Column("similar", sa.JSON(), nullable=False, server_default=_EMPTY),
        sa.Column("marks", sa.JSON(), nullable=False, server_default=_EMPTY),
    ):
        op.add_column("documents", column)
    op.execute("UPDATE documents SET encoding = 'unknown' WHERE status = 'processed'")
    op.create_index(op.f("ix_documents_archive_id"), "documents", ["archive_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_documents_archive_id"), table_name="documents")
    for name in ("marks", "similar", "changes", "pending", "revision", "language", "encoding", "archive_id", "url"):
        op.drop_column("documents", name)
    op.drop_column("chunks", "place")
    op.drop_column("corpora", "embedder")
    op.drop_table("embeddings")
