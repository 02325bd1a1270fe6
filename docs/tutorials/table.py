# %% [markdown]
# # A table: who gets a loan
#
# A lender has 12,000 past decisions and wants a model that is about as often wrong, and about as often
# right, about women and men. We make the table up, so that we know what is in it: people of both
# sexes repay alike, but men earn more, and income is what a model reads first.

# %%
import numpy as np
import pandas as pd

import evenhand as eh

rng = np.random.default_rng(0)
rows = 12_000
sex = rng.choice(["woman", "man"], rows)
income = rng.lognormal(3.3, 0.4, rows) * np.where(sex == "man", 1.3, 1.0)
years = rng.integers(0, 30, rows)
district = rng.choice(["north", "south", "east"], rows)
able = income / 30 + years / 15 + rng.normal(0, 1, rows)
people = pd.DataFrame(
    {
        "income": income.round(1),
        "years": years,
        "district": district,
        "sex": sex,
        "repaid": np.where(able > np.median(able), "yes", "no"),
    }
)
people.head()

# %% [markdown]
# ## The price of a bound, before anything is asked
#
# `eh.plan` fits the path once and says what each bound would cost, on these rows. It reads no test
# row. Equalized odds asks that among those who repay, women and men are accepted equally often, and
# among those who do not, too.

# %%
asked = {"label": "repaid", "groups": "sex", "positive": "yes"}
found = eh.plan(None, people, **asked)
print(found)

# %% [markdown]
# ## Fine-tune within a bound
#
# None for the model is a linear model on the columns. Sex is not among them: the model decides
# without knowing it. `bound` is a promise on new rows, at a confidence of 90 %.

# %%
result = eh.finetune(None, people, bound=eh.Bound("equalized_odds", 0.15), **asked)
print(result.report)
print(result.run.decided)
print("promised:", result.promised)

# %% [markdown]
# The row *transfer-tuned* is what you would have had without evenhand. The gap, the error and their
# intervals are of test rows that nothing was chosen on.
#
# ## Keep it, and decide new people
#
# The run's folder holds the model from a raw row to a decision, a report for whoever signs it off,
# and a model card.

# %%
folder = result.save("runs/loans")
model = eh.load(folder)
new = pd.DataFrame({"income": [18.0, 45.5], "years": [2, 12], "district": ["north", "west"]})
print(model.predict(new), model.predict_proba(new)[:, 1].round(2))
print(model.promise)

# %% [markdown]
# *west* is no district the model has seen: it is decided without one, and `evenhand predict` counts
# such values in every file it decides.
