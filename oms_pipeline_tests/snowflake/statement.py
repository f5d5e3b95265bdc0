"""One SQL statement as a row of tokens, for the statements that fakesnow cannot parse; and SQL text made from values."""

import re
from collections.abc import Sequence

from sqlglot import tokenize
from sqlglot.errors import TokenError

from oms_pipeline_tests.snowflake.errors import SqlError, syntax

DONE = "SELECT 'Statement executed successfully.' AS \"status\""


class Statement:
    """A cursor over a statement's tokens. Keywords are taken in upper case; comments are no tokens."""

    def __init__(self, sql: str):
        sql = re.sub(r"(?s)^(?:\s|/\*.*?\*/|--[^\n]*\n)+", "", sql)
        try:
            self._tokens = tokenize(sql, read="snowflake")
        except TokenError as error:
            raise syntax(str(error)) from error
        while self._tokens and self._tokens[-1].text == ";":
            self._tokens.pop()
        if any(token.text == ";" and token.token_type.name == "SEMICOLON" for token in self._tokens):
            raise SqlError("Actual statement count 2 did not match the desired statement count 1.", 8, "0A000")
        self.sql = sql[: self._tokens[-1].end + 1] if self._tokens else ""
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._tokens)

    def peek(self, ahead: int = 0) -> str:
        """A token's text in upper case, without moving; empty at the end."""
        at = self._at + ahead
        return self._tokens[at].text.upper() if at < len(self._tokens) else ""

    def take(self, words: str) -> bool:
        """Moves over the words if they come next."""
        # The tokenizer fuses some keyword pairs ("PARTITION BY"), so whole texts are compared.
        got, count = "", 0
        while len(got) < len(words) and self._at + count < len(self._tokens):
            got = f"{got} {' '.join(self.peek(count).split())}".strip()
            count += 1
        if got != words:
            return False
        self._at += count
        return True

    def need(self, words: str) -> None:
        """Moves over the words; a syntax error if they do not come next."""
        if not self.take(words):
            raise syntax(self.peek(), words)

    def next(self) -> str:
        """The next token's text; a string without its quotes."""
        if self.ended:
            raise syntax("")
        self._at += 1
        return self._tokens[self._at - 1].text

    def name(self) -> str:
        """A name as written, parts and all."""
        start = self._at
        self.next()
        while self.take("."):
            self.next()
        return self._text(start, self._at)

    def rest(self) -> str:
        """All that is left, as written."""
        start, self._at = self._at, len(self._tokens)
        return self._text(start, self._at)

    def group(self) -> list[str]:
        """The members of `( … , … )`, as written."""
        self.need("(")
        depth, start, members = 0, self._at, list[str]()
        while True:
            text = self.peek()
            if not text:
                raise syntax("")
            if depth == 0 and text in (",", ")"):
                members.append(self._text(start, self._at))
                self._at += 1
                start = self._at
                if text == ")":
                    return [member for member in members if member]
                continue
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            self._at += 1

    def location(self) -> str:
        """A stage with its path, `@db.schema.stage/path`, up to the next space or bracket."""
        start = self._tokens[self._at].start
        found = re.compile(r"[^\s();,]+").match(self.sql, start)
        if found is None or not found[0].startswith("@"):
            raise syntax(self.peek(), "a stage")
        while not self.ended and self._tokens[self._at].start < found.end():
            self._at += 1
        return found[0]

    def value(self) -> str | list[str]:
        """A property's value: a word or string, a stage, or the members of a list."""
        if self.peek() == "(":
            return self.group()
        return self.location() if self.peek().startswith("@") else self.next()

    def _text(self, start: int, end: int) -> str:
        return self.sql[self._tokens[start].start : self._tokens[end - 1].end + 1] if end > start else ""


def literal(value: object) -> str:
    """SQL text of a string, or NULL."""
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def rows(columns: Sequence[str], values: Sequence[Sequence[object]]) -> str:
    """A SELECT that gives the values, all as text."""
    if not values:
        return "SELECT " + ", ".join(f'NULL::VARCHAR AS "{name}"' for name in columns) + " WHERE 1 = 0"
    return " UNION ALL ".join(
        "SELECT " + ", ".join(f'{literal(value)} AS "{name}"' for name, value in zip(columns, row, strict=True))
        for row in values
    )


def words(sql: str) -> str:
    """The statement's first tokens in upper case, comments left out, for telling what it is."""
    text = re.sub(r"(?s)/\*.*?\*/|--[^\n]*", " ", sql)
    return " ".join(text.split()).upper()
