"""How fast evenhand is beside what a user would pick instead: ``python -m benchmarks``."""

BENCHMARKS = {
    "fisher": "group Fisher of a head against a loop, torch.func, opacus, BackPACK and the floor",
    "narrow": "group Fisher of a binary head against one read of the features",
    "path": "ten fair heads on Adult against Fairlearn, OxonFair and fairret",
    "menu": "what it costs to choose among more: merges, deeper features, a whole run",
    "solver": "heads of many rows: evaluations, passes over the features, growth with the rows",
    "distributed": "extraction and fits by two processes against one",
    "intervals": "intervals of a gap against MetricFrame's bootstrap",
    "audit": "an audit of ten million rows against the bare group by of its engine",
    "cache": "fine-tuning on cached features against running the frozen backbone every epoch",
    "reading": "photos decoded on every core against one thread, and what a model waits for them",
    "gpu": "extraction, training below the head and fits of heads on a GPU, where there is one",
    "svd": "randomised SVD of a 4096 × 32000 weight against the full one",
    "predict": "deciding a file of ten million rows: seconds and memory",
    "startup": "import and command line",
    "cost": "the cost model of docs/explanation/cost.md against the clock",
}
"""Every benchmark by the name of its module, in the order they run."""
