"""Alembic's entry: run the migrations on the connection, and in the transaction, that the store hands over."""

from alembic import context

from sitekeeper_collector.store.tables import metadata

# SQLite does roll back DDL once the driver keeps its hands off transactions, which the store sees to.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
