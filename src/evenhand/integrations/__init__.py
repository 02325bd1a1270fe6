"""Other libraries' clothes for evenhand: leaves of the tree, nothing imports them.

``evenhand.integrations.sklearn``, ``.trainer`` (transformers) and ``.peft``, each imported by its
own name so that only the library it serves is loaded.
"""
