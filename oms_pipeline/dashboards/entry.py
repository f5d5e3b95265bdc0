"""Reads one YAML file of a dashboard key by key, and says of every mistake where it is. Knows nothing of dashboards."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from oms_pipeline.errors import DashboardError

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REQUIRED: Final[Any] = object()


class _UniqueKeys(LOADER):  # type: ignore[misc,valid-type]
    """YAML, except that a key given twice is an error and not silently the last one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for number, key in enumerate(keys) if key in keys[:number]]
        if twice:
            raise yaml.MarkedYAMLError(problem=f"'{twice[0]}' is there twice", problem_mark=node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


class Entry:
    """One mapping of a file. Every key is read once; `finish` complains of those that nobody asked for."""

    def __init__(self, path: Path, where: str, content: Any) -> None:
        self.path = path
        self._where = where
        if not isinstance(content, dict):
            raise self.error("it is no mapping. Write keys and values")
        self._content: dict[str, Any] = content
        self._read: set[str] = set()

    @classmethod
    def read(cls, path: Path) -> "Entry":
        """The whole file."""
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 (a safe loader's subclass)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise DashboardError(f"{path.name} cannot be read: {' '.join(str(error).split())}. Correct it.") from None
        return cls(path, path.name, content)

    def called(self, name: str) -> "Entry":
        """The same entry, told of by its own name from now on."""
        self._where = f"{self.path.name}: card {name}"
        return self

    def error(self, text: str) -> DashboardError:
        """The error to raise, with file and place in front."""
        return DashboardError(f"{self._where}: {text}.")

    def text(self, key: str) -> str:
        """A text, on one or more lines."""
        value = self._get(key, _REQUIRED)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{key} is to be a text")
        return value.strip()

    def optional_text(self, key: str) -> str | None:
        """A text, or None where the key is missing."""
        return self.text(key) if key in self._content else None

    def number(self, key: str, default: Any = _REQUIRED) -> Any:
        """A number."""
        value = self._get(key, default)
        if value is not default and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.error(f"{key} is to be a number")
        return value

    def whole(self, key: str, default: Any = _REQUIRED) -> Any:
        """A whole number from 1."""
        value = self.number(key, default)
        if value is not default and (not isinstance(value, int) or value < 1):
            raise self.error(f"{key} is to be a whole number from 1")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        value = self._get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"{key} is to be true or false")
        return value

    def texts(self, key: str, default: Any = _REQUIRED) -> Sequence[str]:
        """A list of texts, each once."""
        value = self._get(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise self.error(f"{key} is to be a list of names")
        twice = [item for number, item in enumerate(value) if item in value[:number]]
        if twice:
            raise self.error(f"{key} names {twice[0]} twice. Once is enough")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping as it is."""
        value = self._get(key, _REQUIRED)
        if not isinstance(value, dict):
            raise self.error(f"{key} is to be a mapping")
        return value

    def children(self, key: str) -> Mapping[str, "Entry"]:
        """Entries by name."""
        return {
            name: Entry(self.path, f"{self._where}: {key} {name}", content)
            for name, content in self.mapping(key).items()
        }

    def items(self, key: str) -> Sequence["Entry"]:
        """Entries in order."""
        value = self._get(key, _REQUIRED)
        if not isinstance(value, list) or not value:
            raise self.error(f"{key} is to be a list")
        return [Entry(self.path, f"{self._where}: {key} {number}", item) for number, item in enumerate(value, 1)]

    def one_of(self, name: str, known: Iterable[str], what: str) -> str:
        """The name, if it is known."""
        names = [str(each) for each in known]
        if name not in names:
            raise self.error(f"there is no {what} {name}. Known are: {', '.join(names)}")
        return name

    def finish(self, *also: str) -> None:
        """Complains of keys that were not asked for."""
        unknown = sorted(set(self._content) - self._read - set(also))
        if unknown:
            raise self.error(f"{unknown[0]} is not known here. Take it out, or correct its spelling")

    def _get(self, key: str, default: Any) -> Any:
        self._read.add(key)
        value = self._content.get(key, default)
        if value is _REQUIRED:
            raise self.error(f"{key} is missing. Add it")
        return value
