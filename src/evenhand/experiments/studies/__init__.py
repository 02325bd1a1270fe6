"""Studies: the commands behind what the documentation promises."""
