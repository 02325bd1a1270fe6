"""The embedded engine (DuckDB), as an audit uses it: in this process, alone, and small."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

MEMORY = "600MB"
"""Beyond it a query goes on from disk."""


class Embedded:
    """A connection that reads the files it is told to and nothing else."""

    def __init__(self, database: str = ":memory:") -> None:
        import duckdb

        self.Error = duckdb.Error
        self._spill = tempfile.TemporaryDirectory(prefix="evenhand-")
        self.connection = duckdb.connect(
            database,
            read_only=database != ":memory:",
            config={
                "memory_limit": MEMORY,
                "temp_directory": self._spill.name,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
                "preserve_insertion_order": False,
            },
        )
        self.connection.execute("set enable_progress_bar = false")
        # From a Parquet file's statistics, which leave NaN out, it concludes that there is none.
        self.connection.execute("set disabled_optimizers = 'statistics_propagation'")

    def __call__(self, query: str) -> Any:
        """The answer to a query, as an Arrow table."""
        return self.connection.sql(query).to_arrow_table()

    def stream(self, query: str) -> Iterator[Any]:
        """The answer to a query, in Arrow batches."""
        import pyarrow as arrow

        yield from arrow.RecordBatchReader.from_stream(self.connection.sql(query))

    def asks_only(self, query: str) -> bool:
        """Whether a query is one SELECT."""
        statements = self.connection.extract_statements(query)
        return [str(one.type).rpartition(".")[2] for one in statements] == ["SELECT"]

    def close(self) -> None:
        """Let go of the memory and of what was put on disk."""
        self.connection.close()
        self._spill.cleanup()
