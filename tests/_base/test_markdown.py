from hypothesis import given
from hypothesis import strategies as st

from evenhand._base.markdown import markdown_table


def test_a_table_of_two_rows():
    assert markdown_table(("a", "b"), [(1, "x"), (2, "y")]).split("\n") == [
        "| a | b |",
        "| --- | --- |",
        "| 1 | x |",
        "| 2 | y |",
    ]


@given(st.lists(st.text("ab|\\ ", max_size=5), min_size=1, max_size=4))
def test_no_cell_makes_another_column(cells):
    line = markdown_table(cells, [cells]).split("\n")[2]
    assert line.replace("\\|", "").count("|") == len(cells) + 1
