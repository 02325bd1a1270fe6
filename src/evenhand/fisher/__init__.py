"""The paper's verbs: group Fisher, neutralize, factorize, low-rank layers."""
