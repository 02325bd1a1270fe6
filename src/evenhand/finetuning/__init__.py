"""From a task and a model to a result."""
