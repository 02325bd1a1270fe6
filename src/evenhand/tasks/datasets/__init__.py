"""The data sets of the paper, read from a user's own copy (Adult is embedded)."""
