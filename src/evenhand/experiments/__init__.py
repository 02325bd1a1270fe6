"""Many seeds, kept run by run: peers, comparisons, the paper again, studies."""
