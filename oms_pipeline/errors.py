"""The errors a user meets. Every message is one line that says what is wrong and what to do next."""

from collections.abc import Mapping, Sequence


class OmsError(Exception):
    """Something the user can mend; its text is a sentence and the next step. Shown without a traceback."""


class SettingsError(OmsError):
    """An environment variable is missing or cannot be understood."""


class CalendarError(OmsError):
    """A day that has no partition: before the start, in the future, or a range the wrong way round."""


class ContractError(OmsError):
    """The contract file itself is wrong."""


class SourceError(OmsError):
    """The OMS database cannot be read as the contract says."""


class DriftError(SourceError):
    """The OMS has other columns than the contract says.

    Attributes:
        tables: Table name → what is missing or of another type, as one line.
    """

    def __init__(self, text: str, tables: Mapping[str, str]) -> None:
        super().__init__(text)
        self.tables = tables


class TransientSourceError(SourceError):
    """The OMS database did not answer this time; the same call may succeed later."""


class RawZoneError(OmsError):
    """The raw zone cannot be written, or what it holds is not what its manifest says."""


class TransientRawZoneError(RawZoneError):
    """The raw zone did not answer this time; the same call may succeed later."""


class RowCountError(OmsError):
    """A hop found other rows than the one before it; the figures are for whoever looks at the check.

    Attributes:
        table: Table name.
        expected: Rows there should be.
        found: Rows there are.
    """

    def __init__(self, text: str, table: str, expected: int, found: int) -> None:
        super().__init__(text)
        self.table = table
        self.expected = expected
        self.found = found


class WarehouseError(OmsError):
    """The warehouse cannot be reached, or holds something else than was asked for."""


class TransformError(OmsError):
    """A dbt model or test failed; nothing was changed."""


class DashboardError(OmsError):
    """A dashboard's file is wrong, or what it asks of the warehouse cannot be answered."""


class MailError(OmsError):
    """The mail server refused a mail; it will again until something is changed."""


class RefusedMailError(MailError):
    """The mail server did not take this one mail for everybody; it may well take others.

    Attributes:
        later: Who has not got it and may yet, where the others have; empty if nobody has.
    """

    def __init__(self, text: str, later: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.later = tuple(later)


class TransientMailError(MailError):
    """The mail server did not take a mail this time; it may later."""


class PublicationError(OmsError):
    """The marts could not be published; what was published before is still there."""


class MetabaseError(OmsError):
    """Metabase cannot be reached, refuses the login, or refuses what it was sent."""


def server_sentence(text: str) -> str:
    """PostgreSQL's own sentence out of its driver's text, in one line."""
    for marker in ("ERROR:", "FATAL:", "failed:"):
        if marker in text:
            text = text.split(marker)[-1]
            break
    return " ".join(text.split("\n")[0].split()).removesuffix(".")
