from __future__ import annotations

from storage.wording import counted


def test_one_is_not_many() -> None:
    assert [counted(count, "shard") for count in (0, 1, 2, 1200)] == [
        "0 shards",
        "1 shard",
        "2 shards",
        "1,200 shards",
    ]
    assert counted(2, "frame of a body", "frames of bodies") == "2 frames of bodies"
