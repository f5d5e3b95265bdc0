"""What people have done to published tables in PostgreSQL: what a run repeats for the new ones, and what stops it.

The tables are replaced, and whatever hangs on the old ones goes with them. Rights are given again; for anything else
that would be lost, or would go on with the old tables, the run ends before it has written anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adbc_driver_postgresql import dbapi

from oms_pipeline.errors import PublicationError

MARK: Final = "Published by OMS Pipeline, replaced by each run: "
"""How a publication's schema is commented, with the names of its tables behind."""

# What else is in the schema: tables, functions, types, whatever PostgreSQL says is in it.
_IN_SCHEMA: Final = """
select object.type, object.identity
from pg_depend
inner join pg_namespace on pg_namespace.oid = pg_depend.refobjid
cross join lateral pg_identify_object(pg_depend.classid, pg_depend.objid, 0) as object
left join pg_class on pg_depend.classid = 'pg_class'::regclass and pg_class.oid = pg_depend.objid
where pg_depend.refclassid = 'pg_namespace'::regclass
    and pg_depend.deptype = 'n'
    and pg_namespace.nspname = '{schema}'
    and not coalesce(pg_class.relkind = 'r' and pg_class.relname in ({published}), false)
order by object.type != 'table', object.identity
"""

# Relations elsewhere that are made of published tables: they would go on reading the old ones.
_DEPENDENTS: Final = """
select distinct
    view_schema.nspname || '.' || view.relname as view,
    of_schema.nspname || '.' || relation.relname as reads
from pg_depend
inner join pg_rewrite on pg_rewrite.oid = pg_depend.objid
inner join pg_class as view on view.oid = pg_rewrite.ev_class
inner join pg_namespace as view_schema on view_schema.oid = view.relnamespace
inner join pg_class as relation on relation.oid = pg_depend.refobjid
inner join pg_namespace as of_schema on of_schema.oid = relation.relnamespace
where pg_depend.classid = 'pg_rewrite'::regclass
    and pg_depend.refclassid = 'pg_class'::regclass
    and (of_schema.nspname = '{schema}' or starts_with(of_schema.nspname, '{schema}__before_'))
    and view_schema.oid != of_schema.oid
order by 1, 2
"""

# What changes how a published table is read or written, and what elsewhere holds on to one: policies, triggers and
# rules of its own; foreign keys, policies and functions of others.
_ON_TABLES: Final = """
select distinct pg_describe_object(pg_depend.classid, pg_depend.objid, 0) as what
from pg_depend
inner join pg_class on pg_class.oid = pg_depend.refobjid
inner join pg_namespace on pg_namespace.oid = pg_class.relnamespace
where pg_depend.refclassid = 'pg_class'::regclass
    and pg_namespace.nspname = '{schema}'
    and pg_class.relkind = 'r'
    and (
        pg_depend.classid in ('pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_rewrite'::regclass)
        or (pg_depend.classid in ('pg_constraint'::regclass, 'pg_proc'::regclass) and pg_depend.deptype = 'n')
    )
union all
select 'row level security of table ' || pg_namespace.nspname || '.' || pg_class.relname
from pg_class
inner join pg_namespace on pg_namespace.oid = pg_class.relnamespace
where pg_namespace.nspname = '{schema}' and pg_class.relkind = 'r' and pg_class.relrowsecurity
order by 1
"""

# Who else may do what with the old schema, its tables, their columns, and tables that the publisher makes there.
_RIGHTS: Final = """
with held as (
    select 'schema' as on_what, null as table_name, null as column_name, (aclexplode(nspacl)).*
    from pg_namespace
    where nspname = '{schema}'
    union all
    select 'table', pg_class.relname, null, (aclexplode(pg_class.relacl)).*
    from pg_class
    inner join pg_namespace on pg_namespace.oid = pg_class.relnamespace
    where pg_namespace.nspname = '{schema}' and pg_class.relkind = 'r'
    union all
    select 'column', pg_class.relname, pg_attribute.attname, (aclexplode(pg_attribute.attacl)).*
    from pg_attribute
    inner join pg_class on pg_class.oid = pg_attribute.attrelid
    inner join pg_namespace on pg_namespace.oid = pg_class.relnamespace
    where pg_namespace.nspname = '{schema}' and pg_class.relkind = 'r' and not pg_attribute.attisdropped
    union all
    select 'new tables', null, null, (aclexplode(pg_default_acl.defaclacl)).*
    from pg_default_acl
    inner join pg_namespace on pg_namespace.oid = pg_default_acl.defaclnamespace
    where pg_namespace.nspname = '{schema}'
        and pg_default_acl.defaclobjtype = 'r'
        and pg_default_acl.defaclrole = (select oid from pg_roles where rolname = current_user)
)

select distinct
    held.on_what,
    held.table_name,
    held.column_name,
    held.privilege_type,
    case when held.grantee = 0 then 'public' else quote_ident(pg_roles.rolname) end as grantee,
    held.is_grantable
from held
left join pg_roles on pg_roles.oid = held.grantee
where held.grantee = 0 or pg_roles.rolname != current_user
order by 1, 2, 3, 4, 5
"""
_TABLES: Final = "select tablename as name from pg_tables where schemaname = '{schema}'"


def refuse_handmade(connection: dbapi.Connection, schema: str, where: str, mark: str) -> None:
    """Looks for what a run that replaces the schema's tables would lose, or leave with the old ones.

    Args:
        connection: To PostgreSQL.
        schema: A published schema.
        where: The database, as people read it.
        mark: The schema's comment.

    Raises:
        PublicationError: There is something; names it and what to do with it.
    """
    published = ", ".join(f"'{name}'" for name in mark.removeprefix(MARK).split(", "))
    inside = rows_of(connection, _IN_SCHEMA.format(schema=schema, published=published))
    if inside:
        # PostgreSQL's name of the kind is not always what its commands call it.
        kind, name = inside[0]["type"].removesuffix(" object"), inside[0]["identity"]
        raise PublicationError(
            f"{name} in {where} was made by hand, in a schema that every run replaces. Move it: "
            f"alter {kind} {name} set schema public"
        )
    dependents = rows_of(connection, _DEPENDENTS.format(schema=schema))
    if dependents:
        raise PublicationError(
            f"{dependents[0]['view']} is made of {dependents[0]['reads']}, which every run replaces: it would go "
            "on reading the old table. Make it a dbt model or a Metabase question, and drop it."
        )
    on_tables = rows_of(connection, _ON_TABLES.format(schema=schema))
    if on_tables:
        raise PublicationError(
            f"{where} has a {on_tables[0]['what']}, which every run replaces: it would be lost, or stay with the old "
            "table. Drop it. To show somebody some rows or columns only, make a dbt model of them, and grant that."
        )


def keep_rights(
    connection: dbapi.Connection, schema: str, new: str, tables: Mapping[str, Sequence[str]], reader: str | None
) -> None:
    """Gives whoever has rights on a published schema the same on the one that takes its place.

    Args:
        connection: To PostgreSQL.
        schema: The published schema; need not be there yet.
        new: The schema that takes its place.
        tables: Its tables and their columns.
        reader: A role that may read all of it; None for none.
    """
    known = {row["name"] for row in rows_of(connection, _TABLES.format(schema=schema))}
    for row in rows_of(connection, _RIGHTS.format(schema=schema)):
        right, to = row["privilege_type"], f"to {row['grantee']}{' with grant option' if row['is_grantable'] else ''}"
        table, column = row["table_name"], row["column_name"]
        if row["on_what"] == "schema":
            run_statement(connection, f"grant {right} on schema {new} {to}")
        elif row["on_what"] == "new tables":
            run_statement(connection, f"alter default privileges in schema {new} grant {right} on tables {to}")
            for name in tables.keys() - known:
                run_statement(connection, f'grant {right} on {new}."{name}" {to}')
        elif table in tables and column is None:
            run_statement(connection, f'grant {right} on {new}."{table}" {to}')
        elif column in tables.get(table, ()):
            run_statement(connection, f'grant {right} ("{column}") on {new}."{table}" {to}')
    if reader is not None:
        role = '"' + reader.replace('"', '""') + '"'
        run_statement(connection, f"grant usage on schema {new} to {role}")
        run_statement(connection, f"grant select on all tables in schema {new} to {role}")


def run_statement(connection: dbapi.Connection, statement: str) -> None:
    """Runs a statement that gives no rows."""
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query(statement)
        cursor.adbc_statement.execute_update()


def rows_of(connection: dbapi.Connection, query: str) -> list[Mapping[str, Any]]:
    """The rows of a SELECT."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        rows: list[Mapping[str, Any]] = cursor.fetch_arrow_table().to_pylist()
        return rows
