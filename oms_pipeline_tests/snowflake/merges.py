"""MERGE, run by DuckDB itself: it refuses a target row that matches twice, as Snowflake does, which fakesnow's does not."""

from collections import Counter

import duckdb
from fakesnow.dialect import parse_one
from sqlglot import exp

from oms_pipeline_tests.snowflake.errors import SqlError
from oms_pipeline_tests.snowflake.locks import Session

_COUNTED = {"INSERT": "number of rows inserted", "UPDATE": "number of rows updated", "DELETE": "number of rows deleted"}


def merge(session: Session, sql: str) -> dict[str, int]:
    """Runs a MERGE; gives a count per kind of change that it can make, in Snowflake's order.

    Raises:
        SqlError: 100090, a target row matches more than one source row.
    """
    statement = parse_one(sql)
    whens = statement.args["whens"].expressions
    source = statement.args["using"].alias_or_name
    for when in whens:
        then = when.args["then"]
        if isinstance(then, exp.Insert) and then.expression:
            # A bare name means the source's column, there being no target row.
            for column in then.expression.find_all(exp.Column):
                if not column.table:
                    column.set("table", exp.to_identifier(source))
    counts = {_kind(when): 0 for when in whens}
    cursor = session.conn.cursor()
    cursor.check_db_and_schema(statement)
    translated = cursor._transform(statement, None).sql(dialect="duckdb")
    try:
        done = session.duck(f"{translated} RETURNING merge_action")
    except duckdb.InvalidInputException as error:
        if "more than once" in str(error):
            raise SqlError("Duplicate row detected during DML action", 100090, "42P18") from error
        raise
    counts |= Counter(action for (action,) in done)
    return {_COUNTED[kind]: counts[kind] for kind in _COUNTED if kind in counts}


def _kind(when: exp.When) -> str:
    then = when.args["then"]
    return then.key.upper() if isinstance(then, exp.Insert | exp.Update) else then.name.upper()
