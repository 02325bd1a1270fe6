"""Arrays only: fit a path of heads, judge them, choose one and say what it promises."""
