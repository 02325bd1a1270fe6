# %% [markdown]
# # Text: when a dialect is mistaken for a tone
#
# A filter shall find rude posts. In the training data one dialect's word for "friend" stands in rude
# posts more often, because of who was reported, and the model learns the word. The posts are made up.

# %%
import numpy as np
import pandas as pd

import evenhand as eh

FRIEND = {"hill": "neebor", "coast": "friend"}
INSULTS = ["you fool", "shut up", "what rubbish", "get lost"]
CIVIL = ["thank you", "well said", "good morning", "see you soon"]
SUBJECTS = ["the train", "the match", "the weather", "the news"]


def draw(rows, seed):
    """Posts, some of them reported as rude though they are not, or the other way round."""
    rng = np.random.default_rng(seed)
    dialect = rng.choice(["hill", "coast"], rows)
    rude = rng.random(rows) < np.where(dialect == "hill", 0.65, 0.2)
    sounds = rude ^ (rng.random(rows) < 0.2)
    words = np.where(sounds, rng.choice(INSULTS, rows), rng.choice(CIVIL, rows))
    subjects = rng.choice(SUBJECTS, rows)
    said = zip(words, dialect, subjects, strict=True)
    return pd.DataFrame(
        {
            "post": [f"{text} my {FRIEND[who]}, about {what}" for text, who, what in said],
            "rude": np.where(rude, "rude", "civil"),
            "dialect": dialect,
        }
    )


posts = draw(1_000, seed=0)
posts.head()

# %% [markdown]
# ## A frozen encoder, a fair head
#
# MiniLM reads each post once. `eh.finetune` takes the frame: the model says that it reads a text, and
# `text` says where. The dialects' base rates are far apart, so evenness has its price: `max_cost` is
# how many points of error we are ready to pay.

# %%
encoder = eh.models.load("all-MiniLM-L6-v2", max_length=32)
result = eh.finetune(
    encoder,
    posts,
    label="rude",
    groups="dialect",
    text="post",
    positive="rude",
    max_cost=4,
    min_rows=50,
)
print(result.report)
print(result.run.decided)

# %% [markdown]
# ## Count what it decides
#
# The run's folder decides files, on the command line as `evenhand predict runs/posts new.csv -o
# scored.csv`. `eh.audit` counts the decisions of any model: here on posts that are new, by dialect. The
# false-positive rate is the share of civil posts that are taken for rude ones.

# %%
later = draw(600, seed=1)
later.to_csv("new.csv", index=False)
folder = result.save("runs/posts")
scored = eh.predict(folder, "new.csv", "scored.csv", columns=["rude", "dialect"])
print(scored.drift.sentences())
audit = eh.audit("scored.csv", label="rude", prediction="decision", groups=["dialect"])
print(audit.group_frame()[["group", "rows", "base_rate", "selection_rate", "tpr", "fpr"]].round(2))

# %% [markdown]
# Whether the labels are right about a dialect is a question that no metric answers: if civil posts of
# one were reported as rude, an even filter repeats it evenly.
