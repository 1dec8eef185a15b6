"""Which groups of people a table may tell by their numbers: none of fewer than five, and none that gives one away.

A small group is also told by what is left of a total. So where a table hides one, others are hidden too, the smallest
first, until five people or more are behind what is hidden.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

LEAST = 5  # people in a group that is shown by its number


def hidden(people: Mapping[str, Collection[str]]) -> set[str]:
    """Names of the groups to hide, given the people of each; a person may be in several."""
    by_size = sorted(people, key=lambda name: (len(people[name]), name))
    found = {name for name in by_size if len(people[name]) < LEAST}
    for name in by_size:
        behind = {person for one in found for person in people[one]}
        if not found or (len(found) > 1 and len(behind) >= LEAST):
            break
        found.add(name)
    return found
