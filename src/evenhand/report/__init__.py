"""Evidence a person can read: every view of a run. Nothing here computes a metric of its own."""
