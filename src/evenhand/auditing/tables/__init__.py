"""Where decisions are kept, as one thing to ask: a relation that an engine counts."""
