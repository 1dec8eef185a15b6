"""Every film once, a subject in one shard, the same plan in any order, another name for other contents."""

from __future__ import annotations

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.plan import Film, plan_shards

FILMS = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 9)), max_size=40, unique_by=lambda pair: pair[0]
).map(lambda pairs: [Film(f"k{key:03d}", f"s{subject}") for key, subject in pairs])


@settings(deadline=None)
@given(FILMS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_laws(films: list[Film], films_per_shard: int, chance: random.Random) -> None:
    plan = plan_shards(films, films_per_shard)
    assert sorted(key for planned in plan for key in planned.keys) == sorted(film.key for film in films)
    subject_of = {film.key: film.subject for film in films}
    shard_of: dict[str, str] = {}
    for planned in plan:
        subjects = {subject_of[key] for key in planned.keys}
        assert len(planned.keys) <= films_per_shard or len(subjects) == 1
        for subject in subjects:
            assert shard_of.setdefault(subject, planned.shard) == planned.shard
    assert plan_shards(chance.sample(films, len(films)), films_per_shard) == plan


def test_names_tell_kind_index_and_contents() -> None:
    films = [Film("k1", "s3"), Film("k2", "s2"), Film("k3", "s2")]
    first, second = plan_shards(films, 2)
    assert re.fullmatch(r"radiographs-000000-[0-9a-f]{8}\.tar", first.shard)
    assert second.shard.startswith("radiographs-800000-")
    assert (first.keys, second.keys) == (("k1",), ("k2", "k3"))
    assert plan_shards(films, 2, "annotations")[0].shard.startswith("annotations-000000-")
    others = (
        plan_shards(films, 3),
        plan_shards([Film("k9", "s3")], 2),
        plan_shards([Film("k1", "s3", "other masks")], 2),
    )
    assert len({first.shard, *(plan[0].shard for plan in others)}) == 4


def test_films_added_later_touch_no_shard_but_those_that_take_them() -> None:
    films = [Film(f"k{number:04d}", f"s{number // 2}") for number in range(1000)]
    more = [Film(f"k{number:04d}", f"s{number // 2}") for number in range(1000, 1010)]
    before, after = plan_shards(films, 64), plan_shards(films + more, 64)
    new = {planned.shard for planned in after} - {planned.shard for planned in before}
    assert 15 < len(before) < 32
    assert len(new) <= 6, "five subjects, one of which may split a shard"
