"""The paper's experimental section, run again and judged."""
