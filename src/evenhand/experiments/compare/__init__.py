"""Every method side by side: what was run, and what the results say."""
