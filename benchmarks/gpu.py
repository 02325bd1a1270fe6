"""What a GPU is kept busy with: extraction, training below the head, and fits of heads.

python -m benchmarks gpu
"""

from __future__ import annotations

from benchmarks.gpu_adapt import rows_of_training
from benchmarks.gpu_extraction import rows_of_extraction
from benchmarks.gpu_heads import rows_of_heads
from benchmarks.measure import Options
from benchmarks.rows import Row


def run(options: Options) -> list[Row]:
    return [*rows_of_extraction(options), *rows_of_training(options), *rows_of_heads(options)]
