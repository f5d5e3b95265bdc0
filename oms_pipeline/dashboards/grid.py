"""Where a card is on its dashboard. Knows nothing of what is in it."""

from dataclasses import dataclass
from typing import Any, Final

from oms_pipeline.dashboards.entry import Entry

GRID_COLUMNS: Final = 24


@dataclass(frozen=True)
class Place:
    """Where a card is on the grid of 24 columns; rows and columns count from 0."""

    row: int
    column: int
    width: int
    height: int

    @classmethod
    def read(cls, entry: Entry) -> "Place":
        """The key `place` of a card.

        Raises:
            DashboardError: It is not on the grid.
        """
        numbers: dict[str, Any] = entry.mapping("place")
        if sorted(numbers) != ["column", "height", "row", "width"] or not all(type(n) is int for n in numbers.values()):
            raise entry.error("place takes whole numbers: {row, column, width, height}")
        place = cls(**numbers)
        if min(place.row, place.column) < 0 or min(place.width, place.height) < 1:
            raise entry.error("place has a row or column below 0, or a width or height below 1. Correct it")
        if place.column + place.width > GRID_COLUMNS:
            raise entry.error(
                f"it ends at column {place.column + place.width}, the grid at {GRID_COLUMNS}. Make it narrower"
            )
        return place

    def overlaps(self, other: "Place") -> bool:
        """Whether the two share a cell."""
        return (
            self.row < other.row + other.height
            and other.row < self.row + self.height
            and self.column < other.column + other.width
            and other.column < self.column + self.width
        )
