"""The SQL that is sent to the OMS database, as pure text. Executes nothing."""

import datetime as dt
from collections.abc import Mapping

from oms_pipeline.contract import PARENT_UPDATED_AT, Extract, Table

# A transaction that has not written yet may still write rows stamped with its start, so every older one counts, with
# or without a transaction id. The start of a prepared transaction is not recorded: each of them counts as older.
# A vacuum writes no rows, and may run for hours.
#
# A replica has replayed up to the cut once it has replayed a transaction that ended later. Where the OMS is idle there
# is none: then it is enough that the server it streams from has said, after the cut, how far its log goes, and that all
# of this is replayed. Without pg_read_all_stats those columns are null, and nothing of that is known.
OLDER_TRANSACTIONS = """
select
    pg_is_in_recovery() as is_replica,
    clock_timestamp() < {cut} as is_early,
    pg_last_xact_replay_timestamp() as replayed_to,
    pg_is_in_recovery()
    and pg_last_xact_replay_timestamp() >= {cut} is not true
    and not exists (
        select from pg_stat_wal_receiver
        where status = 'streaming' and last_msg_send_time >= {cut} and latest_end_lsn <= pg_last_wal_replay_lsn()
    ) as is_behind,
    pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all,
    (
        select concat_ws(', ', 'PID ' || pid, 'user ' || usename, nullif(application_name, ''), 'since ' || xact_start)
        from pg_stat_activity
        where
            datname = current_database() and pid <> pg_backend_pid() and xact_start < {cut}
            and backend_type <> 'autovacuum worker'
        order by xact_start
        limit 1
    ) as oldest,
    (
        select 'prepared transaction ' || gid || ' of ' || owner
        from pg_prepared_xacts
        where database = current_database()
        order by prepared
        limit 1
    ) as oldest_prepared
"""

COLUMNS = """
select c.relname as table_name, a.attname as column_name, format_type(a.atttypid, a.atttypmod) as data_type
from pg_attribute as a
inner join pg_class as c on a.attrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname = {schema} and c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""

INDEXED_COLUMNS = """
select c.relname as table_name, a.attname as column_name
from pg_index as i
inner join pg_class as c on i.indrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
inner join pg_attribute as a on a.attrelid = c.oid and a.attnum = i.indkey[0]
where n.nspname = {schema} and i.indisvalid and i.indpred is null
"""

WRITABLE_TABLES = """
select c.relname as table_name
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where
    n.nspname = {schema} and c.relkind in ('r', 'p')
    and has_table_privilege(c.oid, 'insert, update, delete, truncate')
"""

SNAPSHOT = "select pg_current_snapshot()::text as snapshot, clock_timestamp() as taken_at"


def quoted(name: str) -> str:
    """A PostgreSQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A PostgreSQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def instant(value: dt.datetime) -> str:
    """A timestamptz literal."""
    return f"timestamptz {literal(value.isoformat())}"


def select_window(
    table: Table,
    new_columns: Mapping[str, str],
    schema: str,
    read_from: dt.datetime | None,
    read_to: dt.datetime,
    parent_cursor: str | None = None,
) -> str:
    """The query that reads one table for one window.

    Args:
        table: The contract's table.
        new_columns: Columns to read after the contract's own, and the types to read them as.
        schema: Schema of the OMS tables.
        read_from: Start of the window, or None where it is open to the past.
        read_to: End of the window; not part of it.
        parent_cursor: The parent table's cursor column, for `with_parent`.

    Returns:
        One SELECT. `with_parent` adds `_parent_updated_at`: the version of the parent the children belong to.
    """
    relation = f"{quoted(schema)}.{quoted(table.name)}"
    names = [_as_read(column.name, column.data_type.startswith("numeric")) for column in table.columns]
    # The driver hands over some types in a form that no file can hold; as text everybody can read them.
    names += [_as_read(name, kind == "text" or kind.startswith("numeric")) for name, kind in new_columns.items()]
    columns = ", ".join(names)
    if table.extract is Extract.SNAPSHOT:
        return f"select {columns} from {relation}"

    def in_window(cursor: str) -> str:
        upper = f"{quoted(cursor)} < {instant(read_to)}"
        return upper if read_from is None else f"{quoted(cursor)} >= {instant(read_from)} and {upper}"

    if table.extract is Extract.CHANGES:
        return f"select {columns} from {relation} where {in_window(table.cursor)}"

    if table.parent is None or parent_cursor is None:
        raise ValueError(f"{table.name} is read with its parent, and no parent was given.")
    parent = f"{quoted(schema)}.{quoted(table.parent)}"
    key = ", ".join(quoted(column) for column in table.parent_key)
    columns = ", ".join(f"child.{name}" for name in names)
    # A child that changed without its parent brings the whole set too: some systems forget to touch the parent.
    return (
        f"with changed as (select {key} from {parent} where {in_window(parent_cursor)}"
        f" union select {key} from {relation} where {in_window(table.cursor)})"
        f" select {columns}, parent.{quoted(parent_cursor)} as {quoted(PARENT_UPDATED_AT)}"
        f" from changed inner join {parent} as parent using ({key}) inner join {relation} as child using ({key})"
    )


def _as_read(name: str, as_text: bool) -> str:
    """A column of a SELECT. As text a `numeric` is exact, and costs the driver a third of reading its binary form."""
    return f"{quoted(name)}::text as {quoted(name)}" if as_text else quoted(name)


def create_index(table: Table, schema: str) -> str:
    """The DDL of the index that a table's window is read by; CONCURRENTLY does not block the OMS."""
    return f"create index concurrently on {quoted(schema)}.{quoted(table.name)} ({quoted(table.cursor)})"
