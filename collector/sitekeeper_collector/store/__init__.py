"""What the collector keeps: tables, migrations, one writer, and the queries that others read it with."""
