"""``python -m evenhand``: the command line where its script is not on the path."""

from evenhand.cli import main

main()
