"""Makes Metabase what the definition says: finds what is there, plans, and takes the steps. Runs no query."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from oms_pipeline.dashboards.definition import Dashboard
from oms_pipeline.dashboards.metabase import bodies, database, fields, marks, seen
from oms_pipeline.dashboards.metabase.client import Client, Patience, connected
from oms_pipeline.dashboards.metabase.lease import lease
from oms_pipeline.dashboards.metabase.marks import Mark, described, fingerprint
from oms_pipeline.dashboards.metabase.plan import Action, Step, plan
from oms_pipeline.dashboards.metabase.seen import Found, Ids
from oms_pipeline.dashboards.metabase.wanted import DATABASE, FILTER_FIELDS, Kind, Table, Wanted, wanted
from oms_pipeline.settings import MetabaseServer

_PATHS: Final = {
    Kind.DATABASE: "/api/database",
    Kind.TABLE: "/api/table",
    Kind.COLLECTION: "/api/collection",
    Kind.CARD: "/api/card",
    Kind.DASHBOARD: "/api/dashboard",
    Kind.SUBSCRIPTION: "/api/pulse",
}


@dataclass(frozen=True)
class Definition:
    """What Metabase is made from.

    Attributes:
        dashboards: The dashboards.
        tables: The marts as dbt describes them.
        mail_to: Who gets the weekly mail.
        values: Filter name → the values to choose from, the most frequent first.
    """

    dashboards: Sequence[Dashboard]
    tables: Sequence[Table]
    mail_to: Sequence[str]
    values: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """What a sync did, or would do.

    Attributes:
        steps: In the order in which they were taken.
        links: Dashboard's name → its address.
    """

    steps: Sequence[Step]
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def edited(self) -> list[Step]:
        """What was left as somebody made it."""
        return [step for step in self.steps if step.action is Action.LEAVE]


def sync(
    server: MetabaseServer,
    definition: Definition,
    *,
    force: bool = False,
    dry_run: bool = False,
    patience: Patience | None = None,
) -> Outcome:
    """Makes Metabase what the definition says.

    Args:
        server: The Metabase.
        definition: What it is to have.
        force: Undo what was edited by hand.
        dry_run: Only say what would be done.
        patience: How long to wait for what.

    Raises:
        MetabaseError: Metabase does not answer, or refuses something. What was done until then stays; the next sync
            goes on from there.
    """
    with connected(server, patience or Patience()) as client:
        if not client.is_set_up():
            if dry_run:
                return Outcome(_Sync(client, definition, force).plan_from_nothing())
            client.set_up()
        client.log_in()
        client.require_administrator()
        if dry_run:
            return _Sync(client, definition, force).run(None)
        with lease(client, client.patience.whole) as still_held:
            return _Sync(client, definition, force).run(still_held)


def check(server: MetabaseServer, patience: Patience | None = None) -> str:
    """Logs in as a sync does, and changes nothing.

    Args:
        server: The Metabase.
        patience: How long to wait; by default not until a Metabase has started.

    Returns:
        What answered.

    Raises:
        MetabaseError: It does not answer, or a sync could not log in.
    """
    with connected(server, patience or Patience(outage=dt.timedelta(seconds=5))) as client:
        if not client.is_set_up() and server.user is not None:
            return f"{server.url} answers, and is not set up yet: the first run does that"
        client.log_in()
        client.require_administrator()
    return f"{server.url} answers, to an administrator"


class _Sync:
    """One pass over one Metabase."""

    def __init__(self, client: Client, definition: Definition, force: bool) -> None:
        self.client = client
        self.definition = definition
        self.force = force
        self.ids = Ids()
        self.tables: dict[str, Mapping[str, Any]] = {}
        self.found: dict[str, Found] = {}
        self.database_text = ""
        login = client.server.reads
        self.wanted = wanted(
            database.state(login),
            definition.dashboards,
            definition.tables,
            definition.mail_to,
            {name: values[0] for name, values in definition.values.items() if values},
            database.spelling(login),
            database.secret_fingerprint(login),
        )
        self._of = {each.key: each for each in self.wanted}

    def plan_from_nothing(self) -> list[Step]:
        """The steps on a Metabase that has never been set up."""
        return plan(self.wanted, {}, self.force)

    def run(self, before_each_change: Callable[[], None] | None) -> Outcome:
        """Finds, plans and takes the steps; only plans without a function to call before each change."""
        self._find_database()
        steps = self._steps(Kind.DATABASE)
        if before_each_change is not None:
            self._take(steps, before_each_change)
            self._find_tables(wait=True)
        elif self.ids.database is not None:
            self._find_tables(wait=False)
        self._find_objects()
        rest = self._steps(*(kind for kind in Kind if kind is not Kind.DATABASE))
        if before_each_change is not None:
            self._take(rest, before_each_change)
            fields.tell_values(self.client, self.ids, self.definition.values, before_each_change)
        return Outcome([*steps, *rest], self._links())

    def _steps(self, *kinds: Kind) -> list[Step]:
        return plan(
            [each for each in self.wanted if each.kind in kinds],
            {key: each for key, each in self.found.items() if each.kind in kinds},
            self.force,
        )

    # What is there

    def _find_database(self) -> None:
        like = self._of[DATABASE].state
        listed = self.client.get("/api/database")
        every = [
            self.client.get(f"/api/database/{item['id']}")
            for item in (listed["data"] if isinstance(listed, dict) else listed)
            if item["engine"] == like["engine"]
        ]
        raw = seen.ours(Kind.DATABASE, every).get(DATABASE)
        if raw is None:
            # Of an interrupted sync, which could not mark what it had made; or the same connection made by hand.
            raw = next((item for item in every if database.seen(item, like) == like and _unmarked(item)), None)
        if raw is not None:
            self.ids.database = int(raw["id"])
            self.database_text, mark = marks.read(raw.get("description"))
            self.found[DATABASE] = Found(Kind.DATABASE, int(raw["id"]), mark, database.seen(raw, like))

    def _find_tables(self, wait: bool) -> None:
        number = self.ids.database
        if number is None:
            return
        if wait:
            if self._connection_is_ours() and not database.logs_in(self.client, number):
                # A password or key that is another than before cannot be told from what Metabase shows.
                self.client.put(f"/api/database/{number}", {"details": self._details()})
            self.tables = database.wait_for(self.client, number, self._needed_columns())
        else:
            self.tables = database.metadata(self.client, number)
        database.learn(self.ids, self.tables)
        for table in self.definition.tables:
            raw = self.tables.get(table.name)
            if raw is not None:
                _, mark = marks.read(raw.get("description"))
                key = f"table/{table.name}"
                self.found[key] = Found(Kind.TABLE, int(raw["id"]), mark, seen.table(raw, table))

    def _connection_is_ours(self) -> bool:
        found = self.found.get(DATABASE)
        return found is None or found.state == self._of[DATABASE].state

    def _needed_columns(self) -> list[str]:
        described = [
            f"{table.name}.{name}"
            for table in self.definition.tables
            for name, column in table.columns.items()
            if not column.is_personal
        ]
        filters = {each.name for dashboard in self.definition.dashboards for each in dashboard.filters}
        return [*described, *(FILTER_FIELDS[name] for name in filters)]

    def _find_objects(self) -> None:
        client = self.client
        collections = [
            *client.get("/api/collection", archived="false"),
            *client.get("/api/collection", archived="true"),
        ]
        self._find(Kind.COLLECTION, [each for each in collections if isinstance(each["id"], int)])
        cards = [*client.get("/api/card", f="all"), *client.get("/api/card", f="archived")]
        self._find(Kind.CARD, cards)
        listed = [*client.get("/api/dashboard", f="all"), *client.get("/api/dashboard", f="archived")]
        whole = [client.get(f"/api/dashboard/{each['id']}") for each in seen.ours(Kind.DASHBOARD, listed).values()]
        self._find(Kind.DASHBOARD, whole)
        for raw in whole:
            self._learn_dashcards(raw)
            for archived in ("false", "true"):
                for pulse in client.get("/api/pulse", dashboard_id=raw["id"], archived=archived):
                    self._find_subscription(pulse)

    def _find(self, kind: Kind, raw: Sequence[Mapping[str, Any]]) -> None:
        mine = seen.ours(kind, raw)
        # First all ids, since states name others by their keys.
        self.ids.objects |= {key: int(item["id"]) for key, item in mine.items()}
        for key, item in mine.items():
            _, mark = marks.read(item["description"])
            self.found[key] = Found(kind, int(item["id"]), mark, seen.READERS[kind](item, self.ids))

    def _find_subscription(self, raw: Mapping[str, Any]) -> None:
        key = f"subscription/{self.ids.key_of(Kind.DASHBOARD, raw['dashboard_id']).partition('/')[2]}"
        held = self.found.get(key)
        if not str(raw["name"]).endswith(seen.SUBSCRIPTION_SUFFIX) or (held and held.id < raw["id"]):
            return
        state = seen.subscription(raw, self.ids)
        self.ids.objects[key] = int(raw["id"])
        self.found[key] = Found(Kind.SUBSCRIPTION, int(raw["id"]), Mark(key, int(raw["id"]), fingerprint(state)), state)

    def _learn_dashcards(self, raw: Mapping[str, Any]) -> None:
        dashboard = self.ids.key_of(Kind.DASHBOARD, int(raw["id"]))
        # Metabase makes those anew that were on a tab which is gone.
        self.ids.dashcards = {place: of for place, of in self.ids.dashcards.items() if place[0] != dashboard}
        for dashcard in raw.get("dashcards") or []:
            card = self.ids.key_of(Kind.CARD, dashcard.get("card_id"))
            self.ids.dashcards.setdefault((dashboard, card), int(dashcard["id"]))

    # What is done

    def _take(self, steps: Sequence[Step], before_each_change: Callable[[], None]) -> None:
        for step in steps:
            if not step.changes:
                continue
            before_each_change()
            if step.action is Action.ARCHIVE:
                self._archive(step)
            elif step.kind is Kind.TABLE:
                self._describe(self._of[step.key], fill_only=step.action is Action.DESCRIBE)
            elif step.kind is Kind.SUBSCRIPTION:
                self._subscribe(self._of[step.key])
            else:
                self._write(self._of[step.key])

    def _write(self, each: Wanted) -> None:
        """Creates or changes an object, and marks it with what Metabase made of it."""
        path, number = _PATHS[each.kind], self.ids.objects.get(each.key)
        if each.kind is Kind.DATABASE:
            number = self.ids.database
        mark = Mark(each.key, number, each.fingerprint)
        if number is None:
            number = int(self.client.post(path, self._body(each, mark, new=True))["id"])
            self.ids.objects[each.key] = number
            if each.kind is Kind.DATABASE:
                self.ids.database = number
            mark = Mark(each.key, number, mark.wanted)
        elif each.kind is Kind.DASHBOARD and self.found[each.key].state["archived"]:
            self._take_out_of_trash(each, number)
        # What is wanted is known, also if nobody comes to say what Metabase made of it.
        mark = mark.of_stored(each.state)
        raw = self.client.put(f"{path}/{number}", self._body(each, mark, new=False))
        if each.kind is Kind.DASHBOARD:
            raw = self.client.get(f"{path}/{number}")
            self._learn_dashcards(raw)
        stored = mark.of_stored(self._state(each, raw))
        if stored != mark:
            self.client.put(f"{path}/{number}", {"description": described(self._text(each), stored)})

    def _take_out_of_trash(self, each: Wanted, number: int) -> None:
        """By a request of its own: Metabase refuses the cards of a dashboard that was archived before the request."""
        unfinished = described(self._text(each), Mark(each.key, None, each.fingerprint))
        body = {"archived": False, "collection_id": self.ids.objects[each.state["place"]], "description": unfinished}
        self.client.put(f"{_PATHS[each.kind]}/{number}", body)

    def _body(self, each: Wanted, mark: Mark, new: bool) -> dict[str, Any]:
        text = described(self._text(each), mark)
        if each.kind is Kind.DATABASE:
            login = self.client.server.reads
            return database.new(each.state, login) if new else database.changed(each.state, login, text)
        if each.kind is Kind.DASHBOARD:
            if new:
                return bodies.new_dashboard(each.state, self.ids, text)
            return {**bodies.dashboard(each.state, self.ids, text, each.key), "archived": False}
        if each.kind is Kind.CARD:
            body = bodies.card(each.state, self.ids, text, each.key)
        else:
            body = bodies.collection(each.state, self.ids, text)
        return body if new else {**body, "archived": False}

    def _text(self, each: Wanted) -> str:
        """What its description says before the mark: of the database, whatever somebody wrote."""
        return self.database_text if each.kind is Kind.DATABASE else str(each.state["description"])

    def _state(self, each: Wanted, raw: Mapping[str, Any]) -> dict[str, Any]:
        if each.kind is Kind.DATABASE:
            return database.seen(raw, each.state)
        return seen.READERS[each.kind](raw, self.ids)

    def _details(self) -> dict[str, Any]:
        return {**self._of[DATABASE].state["details"], **database.secrets(self.client.server.reads)}

    def _describe(self, each: Wanted, fill_only: bool) -> None:
        """Writes descriptions and what kinds of values columns hold; the table's own comes last, with the mark."""
        table = next(table for table in self.definition.tables if f"table/{table.name}" == each.key)
        raw = self.tables[table.name]
        shown = []
        for item in raw["fields"]:
            name = str(item["name"]).lower()
            body = fields.changes(item, f"{table.name}.{name}", table.columns.get(name), self.ids, fill_only)
            after = self.client.put(f"/api/field/{item['id']}", body) if body else item
            if after.get("visibility_type") != "sensitive":
                shown.append({**item, **after})
        mark = Mark(each.key, int(raw["id"]), each.fingerprint)
        text = marks.read(raw.get("description"))[0] if fill_only else ""
        text = text or each.state["description"]
        stored = mark.of_stored(seen.table({"description": text, "fields": shown}, table))
        self.client.put(f"/api/table/{raw['id']}", {"description": described(text, stored)})

    def _subscribe(self, each: Wanted) -> None:
        body, number = bodies.subscription(each.state, self.ids), self.ids.objects.get(each.key)
        if number is None:
            self.ids.objects[each.key] = int(self.client.post("/api/pulse", body)["id"])
        else:
            body.pop("dashboard_id")
            self.client.put(f"/api/pulse/{number}", {**body, "archived": False})

    def _archive(self, step: Step) -> None:
        """To the trash, with a mark that says it was put there by the pipeline."""
        path, found = _PATHS[step.kind], self.found[step.key]
        body: dict[str, Any] = {"archived": True}
        raw = self.client.put(f"{path}/{found.id}", body)
        if step.kind is Kind.SUBSCRIPTION:
            return
        if step.kind is Kind.DASHBOARD:
            raw = self.client.get(f"{path}/{found.id}")
        mark = Mark(step.key, found.id, fingerprint(seen.READERS[step.kind](raw, self.ids)))
        text = described(marks.read(raw["description"])[0], mark)
        self.client.put(f"{path}/{found.id}", {"description": text})

    def _links(self) -> dict[str, str]:
        url = self.client.server.link
        return {
            dashboard.name: f"{url}/dashboard/{number}"
            for dashboard in self.definition.dashboards
            if (number := self.ids.objects.get(f"dashboard/{dashboard.name}")) is not None
        }


def _unmarked(raw: Mapping[str, Any]) -> bool:
    return marks.read(raw.get("description"))[1] is None
