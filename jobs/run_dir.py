"""OUT/<stage>/: what a stage was asked, what it wrote, and whether that still holds."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.atomic import write_json
from storage.errors import StorageError

FORMAT = 1
_BEGUN = "asked.json"
_DIGEST = re.compile(r'"[0-9a-f]{12,64}"')


@dataclass(frozen=True)
class StageFolder:
    """One stage's folder. `asked` is everything that decides its outputs: configuration and inputs' fingerprints."""

    path: Path
    asked: Mapping[str, object]

    @classmethod
    def begun(cls, path: Path) -> StageFolder:
        """A stage that another process has begun; StorageError where none has."""
        asked = _load(path / _BEGUN)
        if asked is None:
            raise StorageError(f"{path} is missing or was never begun; run the stage again.")
        return cls(path, asked)

    @property
    def _begun(self) -> Path:
        return self.path / _BEGUN

    @property
    def _done(self) -> Path:
        return self.path / "DONE.json"

    def finished(self) -> bool:
        """True if the stage ended with the same question and its outputs are all there, byte for byte."""
        done = _load(self._done)
        if done is None or not _same(done["asked"], self.asked):
            return False
        return all(_sha256(self.path / name) == digest for name, digest in done["outputs"].items())

    def summary(self) -> str:
        """The line that the stage ended with."""
        done = _load(self._done)
        return str(done["summary"]) if done else ""

    def changes(self) -> list[str]:
        """What differs from the question of an earlier attempt, empty if there was none.

        As `key: old -> new`, or `key: other content` where the values are digests.
        """
        before = _load(self._begun)
        if before is None:
            return []
        old, new = _flat(before), _flat(self.asked)
        return [
            f"{key}: {_difference(old.get(key, 'unset'), new.get(key, 'unset'))}"
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key)
        ]

    @property
    def _previous(self) -> Path:
        return self.path.parent / ".previous" / self.path.name

    def recall(self) -> None:
        """Take back what answered this very question before another one was tried and did not end."""
        if self._previous.is_dir() and _same(_load(self._previous / _BEGUN), self.asked):
            self.restore()

    def begin(self, fresh: bool) -> bool:
        """Keep an unfinished attempt at the same question, to be resumed; set anything else aside until `finish`.

        True where it goes on with what an earlier attempt has left.
        """
        if fresh or not _same(_load(self._begun), self.asked):
            self._set_aside()
        goes_on = self.path.is_dir()
        self.path.mkdir(parents=True, exist_ok=True)
        self._done.unlink(missing_ok=True)
        write_json(self._begun, dict(self.asked))
        return goes_on

    def withdraw(self, goes_on: bool) -> None:
        """Undo `begin`, which said whether it goes on with an earlier attempt: nothing came of this one."""
        if not goes_on:
            shutil.rmtree(self.path)
        self.restore()

    def restore(self) -> None:
        """Put back what `begin` set aside, if anything."""
        if self._previous.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
            self._previous.rename(self.path)
            self._tidy()

    def _tidy(self) -> None:
        with suppress(OSError):  # other stages' folders may be in it
            self._previous.parent.rmdir()

    def _set_aside(self) -> None:
        """A finished stage is worth keeping until another has taken its place; an unfinished one is not."""
        if self._done.is_file():
            shutil.rmtree(self._previous, ignore_errors=True)
            self._previous.parent.mkdir(exist_ok=True)
            self.path.rename(self._previous)
        shutil.rmtree(self.path, ignore_errors=True)

    def finish(self, summary: str, provenance: Mapping[str, object]) -> None:
        """Write provenance.json, then DONE.json last: outputs are the stage's files at this moment."""
        write_json(self.path / "provenance.json", dict(provenance))
        outputs = {str(p.relative_to(self.path)): _sha256(p) for p in sorted(self._outputs())}
        write_json(
            self._done, {"format": FORMAT, "asked": self.asked, "outputs": outputs, "summary": summary}
        )
        shutil.rmtree(self._previous, ignore_errors=True)
        self._tidy()

    def fingerprint(self) -> str:
        """Identifies what the stage wrote, for the stages that read it."""
        done = _load(self._done)
        assert done is not None, f"{self.path.name} has not finished"
        return hashlib.sha256(json.dumps(done["outputs"], sort_keys=True).encode()).hexdigest()[:16]

    def _outputs(self) -> list[Path]:
        """Files that later stages read; logs and checkpoints may grow or go."""
        kept = (".csv", ".parquet", ".safetensors", ".json", ".html", ".svg", ".md")
        ours = {self._begun, self._done, self.path / "provenance.json"}
        files = [p for p in self.path.rglob("*") if p.is_file() and p.suffix in kept and p not in ours]
        return [p for p in files if "checkpoints" not in p.parts]


def _load(path: Path) -> dict[str, dict[str, object]] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _same(first: object, second: object) -> bool:
    return first is not None and _flat(first) == _flat(second)


def _flat(tree: object, prefix: str = "") -> dict[str, str]:
    """Nested mappings as dotted keys, so that two questions can be compared and their difference be named."""
    if isinstance(tree, Mapping):
        return {k: v for key, below in tree.items() for k, v in _flat(below, f"{prefix}{key}.").items()}
    return {prefix[:-1]: json.dumps(tree)}


def _difference(old: str, new: str) -> str:
    """Of two JSON values; nobody reads digests."""
    if _DIGEST.fullmatch(old) and _DIGEST.fullmatch(new):
        return "other content"
    return " -> ".join("some content" if _DIGEST.fullmatch(value) else value for value in (old, new))


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
