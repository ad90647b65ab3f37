"""Collects what is wrong with a file, each at the line and under the path that the user wrote."""

from __future__ import annotations

from router_service.config.document import Node, join
from router_service.errors import Problem

Location = tuple[str | int, ...]


class Report:
    """Problems by location in the newest shape: `("model_providers", 2, "base_url")`.

    A location below what the file holds (a missing key, a default) is reported at the nearest value that it does hold.
    `left_out` are the paths of values that were found wrong and left out: what is said about them has been said.
    """

    def __init__(self, root: Node, left_out: frozenset[str] = frozenset()) -> None:
        self._root = root
        self._left_out = left_out
        self.problems: list[Problem] = []

    def error(self, location: Location, what: str, todo: str) -> None:
        self._add(location, what, todo, "error")

    def warn(self, location: Location, what: str, todo: str) -> None:
        self._add(location, what, todo, "warning")

    def _add(self, location: Location, what: str, todo: str, severity: str) -> None:
        line, path = self.where(location)
        if path not in self._left_out:
            self.problems.append(Problem(path, what, todo, line, severity))

    def has_left_out(self, key: str) -> bool:
        """Whether some value of that key was left out."""
        return any(path.endswith(f".{key}") for path in self._left_out)

    def has_left_out_in(self, section: str) -> bool:
        """Whether some value of that section was left out."""
        return any(path.startswith(section) for path in self._left_out)

    def line(self, location: Location) -> int:
        return self.where(location)[0]

    def where(self, location: Location) -> tuple[int, str]:
        """Line and path of a location. Line 0 if the file has nothing of its section."""
        node, path = self._root, ""
        line = 0
        for step in location:
            child = find(node, (step,))
            if child is None:
                path, node = join(path, step), _NOTHING
            else:
                node, path, line = child, child.path, child.line
        return line, path


def find(root: Node, location: Location) -> Node | None:
    """The value at a location, None if the file does not hold it."""
    node: Node | None = root
    for step in location:
        if node is None:
            return None
        if isinstance(step, int):
            node = node.items[step] if step < len(node.items) else None
        else:
            node = node.entries.get(step)
    return node


_NOTHING = Node(None, 0, "")
