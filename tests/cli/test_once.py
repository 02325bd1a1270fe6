"""An option that takes one value is given once."""

import pytest
import typer.main

from evenhand.cli.main import app, main


def options():
    """Every option of every command that takes one value, as (words of the command, its flag)."""
    root = typer.main.get_command(app)
    leaves = [((name,), one) for name, one in root.commands.items() if not hasattr(one, "commands")]
    leaves += [
        ((name, inner), one)
        for name, group in root.commands.items()
        for inner, one in getattr(group, "commands", {}).items()
    ]
    return [
        (words, parameter.opts[0])
        for words, command in leaves
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.is_flag
        if not parameter.multiple and parameter.name != "help"
    ]


def test_every_command_has_such_options():
    assert {words[0] for words, _ in options()} >= {"audit", "finetune", "compare", "study"}


@pytest.mark.parametrize(("words", "flag"), options(), ids=str)
def test_an_option_given_twice_is_refused_before_any_work(words, flag, capsys):
    with pytest.raises(SystemExit) as done:
        main([*words, flag, "1", flag, "1", *(["a"] if len(words) == 1 else [])])
    assert done.value.code == 2
    assert "given twice" in " ".join(capsys.readouterr().err.replace("\u2502", " ").split())


def test_a_choice_given_both_ways_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["audit", "x.csv", "--cross", "--no-cross"])
    assert "given twice" in capsys.readouterr().err


def test_options_that_may_be_repeated_are(capsys):
    with pytest.raises(SystemExit) as done:
        main(
            ["audit", "no.csv", "--label", "y", "--prediction", "p", "--group", "a", "--group", "b"]
        )
    assert done.value.code == 2
