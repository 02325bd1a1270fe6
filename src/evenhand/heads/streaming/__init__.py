"""Heads fitted in passes over rows that need not fit in memory."""
