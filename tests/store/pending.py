"""What is still to be told, as the database has it."""

from beepwatch.store.database import Database


def pending_by_channel(database: Database) -> dict[str, int]:
    """How many deliveries are still to be made."""
    with database.reading() as sql:
        rows = sql.execute(
            "SELECT channel, count(*) FROM deliveries WHERE state = 'pending' "
            "GROUP BY channel ORDER BY channel"
        ).fetchall()
    return {row[0]: row[1] for row in rows}
