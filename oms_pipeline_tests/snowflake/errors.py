"""How the test bed says no."""


class SqlError(Exception):
    """A statement failed as it would in Snowflake.

    Attributes:
        message: Snowflake's wording.
        code: Its error number; clients see it as `errno`.
        state: SQLSTATE.
    """

    def __init__(self, message: str, code: int = 1003, state: str = "42000"):
        super().__init__(message)
        self.message, self.code, self.state = message, code, state


def missing(kind: str, name: str) -> SqlError:
    """Object does not exist: 002003."""
    return SqlError(f"SQL compilation error:\n{kind} '{name}' does not exist or not authorized.", 2003, "02000")


def syntax(found: str, expected: str = "") -> SqlError:
    """Syntax error: 001003."""
    wanted = f", expecting {expected}" if expected else ""
    return SqlError(
        f"SQL compilation error:\nsyntax error line 1 at position 0 unexpected '{found or '<EOF>'}'{wanted}."
    )
