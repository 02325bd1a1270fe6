"""WebDataset shards as one table: labels and texts in memory, images by their place in the tars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evenhand._base.names import name_of
from evenhand._base.text import listed, visible
from evenhand.errors import InputError
from evenhand.tasks.image_places import place_type
from evenhand.tasks.shard_names import shard_files
from evenhand.tasks.shard_samples import IMAGE, KEY, SHARD, Sample, require_alike, samples_of
from evenhand.tasks.tar_members import read_member

TOGETHER = 1 << 14
"""Samples made columns of together."""


def shard_table(data: str | Path | Iterable[str | Path]) -> tuple[Any, list[str]]:
    """The samples of shards as an Arrow table, and notes on what was passed over.

    Args:
        data: the tars, see :func:`evenhand.tasks.shard_names.shard_files`.

    Returns:
        Columns ``__key__``, ``__shard__`` and ``__split__``; one for each key of the ``.json``, and
        ``cls`` and ``txt``; and the images' places as ``__image__``, or by ending where a sample
        has several.

    Raises:
        InputError: a tar or a sample that is not whole, or one that is there twice.
    """  # noqa: DOC502
    import pyarrow as arrow

    passed: Counter[str] = Counter()
    nested: set[str] = set()
    made = [_columns(part, nested) for part in _together(_samples(shard_files(data), passed))]
    made = _of_one_type(made)
    whole = arrow.concat_tables(made, promote_options="permissive")
    _require_once(whole)
    notes = []
    if nested:
        notes.append(f"lists and other nested values of .json left out: {listed(sorted(nested))}")
    if passed:
        told = (f"{number:,} with {ending}" for ending, number in sorted(passed.items()))
        notes.append(f"files of the shards that were not read: {listed(told)}")
    return whole.drop_columns(sorted(nested & set(whole.column_names))), notes


def _samples(shards: Sequence[Path], passed: Counter[str]) -> Iterator[tuple[Path, Sample]]:
    first = None
    for path in shards:
        empty = True
        for sample in samples_of(path, passed):
            empty, first = False, first or sample
            require_alike(sample, first)
            yield path, sample
        if empty:
            raise InputError(
                f"{path.name} holds no sample: files whose names share what is before the first "
                "dot, such as 000123.jpg and 000123.json"
            )


def _together(samples: Iterator[tuple[Path, Sample]]) -> Iterator[list[tuple[Path, Sample]]]:
    some: list[tuple[Path, Sample]] = []
    for sample in samples:
        some.append(sample)
        if len(some) == TOGETHER:
            yield some
            some = []
    if some:
        yield some


def _columns(samples: list[tuple[Path, Sample]], nested: set[str]) -> Any:
    import pyarrow as arrow

    names = dict.fromkeys(name for _, sample in samples for name in sample.values)
    columns = {}
    for name in names:
        values = [sample.values.get(name) for _, sample in samples]
        if any(isinstance(value, dict | list) for value in values):
            nested.add(name)
        columns[name] = _array(values)
    several = len(samples[0][1].images) > 1
    endings = dict.fromkeys(ending for _, sample in samples for ending in sample.images)
    for name in endings if several else ((IMAGE,) if endings else ()):
        if name in columns:
            raise InputError(f"samples have both an image and a value called {visible(name)!r}")
        places = []
        for path, sample in samples:
            member = sample.images[name] if several else next(iter(sample.images.values()))
            places.append({"path": str(path), "offset": member.offset, "size": member.size})
        columns[name] = arrow.array(places, place_type())
    return arrow.table(columns)


def _array(values: list[Any]) -> Any:
    import pyarrow as arrow

    if any(isinstance(value, dict | list) for value in values):
        return arrow.nulls(len(values))
    try:
        return arrow.array(values)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError):
        return _named(values)


def _named(values: Iterable[Any]) -> Any:
    import pyarrow as arrow

    return arrow.array([None if v is None else name_of(v) for v in values], arrow.string())


def _of_one_type(tables: list[Any]) -> list[Any]:
    """Columns that are numbers in one table and texts in another become names in all."""
    import pyarrow as arrow

    def kinds(name: str) -> set[str]:
        found = {table[name].type for table in tables if name in table.column_names}
        number = arrow.types.is_integer, arrow.types.is_floating
        kept = {kind for kind in found if not arrow.types.is_null(kind)}
        return {"number" if any(is_(kind) for is_ in number) else str(kind) for kind in kept}

    mixed = {name for table in tables for name in table.column_names if len(kinds(name)) > 1}
    for name in mixed:
        tables = [
            table.set_column(table.column_names.index(name), name, _named(table[name].to_pylist()))
            if name in table.column_names
            else table
            for table in tables
        ]
    return tables


def _require_once(table: Any) -> None:
    """Refuse a sample that two shards hold: its row would count twice, in two parts of a split.

    Keys may begin anew in every shard, so that the same key alone says nothing: the image decides.

    Raises:
        InputError: it does.
    """
    import pyarrow as arrow
    from pyarrow import compute

    if IMAGE not in table.column_names:
        return
    sizes = compute.struct_field(table[IMAGE], "size")
    numbered = arrow.table({"key": table[KEY], "size": sizes, "row": range(table.num_rows)})
    counted = numbered.group_by(["key", "size"]).aggregate([("row", "list")])
    several = compute.greater(compute.list_value_length(counted["row_list"]), 1)
    for rows in counted.filter(several)["row_list"].to_pylist():
        seen: dict[bytes, int] = {}
        for row in rows:
            place = table[IMAGE][row].as_py()
            content = read_member(Path(place["path"]), place["offset"], place["size"])
            if content in seen:
                shards = [table[SHARD][at].as_py() for at in (seen[content], row)]
                raise InputError(
                    f"sample {visible(table[KEY][row].as_py())!r} is in {listed(shards)}, with the "
                    "same image: leave out one of the shards"
                )
            seen[content] = row
