import importlib
import sys

import pytest

from evenhand.errors import MissingExtraError


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("trainer", "transformers", "trainer"), ("peft", "peft", "peft")],
)
def test_a_missing_library_is_named_with_its_extra(monkeypatch, module, package, extra):
    name = f"evenhand.integrations.{module}"
    before = sys.modules.pop(name, None)
    monkeypatch.setitem(sys.modules, package, None)
    try:
        with pytest.raises(MissingExtraError, match=rf"evenhand\[{extra}\]"):
            importlib.import_module(name)
    finally:
        sys.modules.pop(name, None)
        if before is not None:
            sys.modules[name] = before
