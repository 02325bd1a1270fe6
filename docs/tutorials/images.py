# %% [markdown]
# # Images: features once, any number of heads
#
# A frozen network sees every picture once; what its head reads is kept, and everything after that
# takes seconds. Our pictures are simulated: is it day or night? Photographs of group *a* were taken
# with a darker lens.

# %%
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import evenhand as eh

rng = np.random.default_rng(0)
folder = Path("pictures")
folder.mkdir(exist_ok=True)
rows = 240
lens = rng.choice(["a", "b"], rows)
day = rng.random(rows) < 0.5
light = np.where(day, 150, 90) + np.where(lens == "b", 25, 0) + rng.normal(0, 25, rows)
for number, level in enumerate(light):
    pixels = np.clip(rng.normal(level, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{number}.png")
table = pd.DataFrame(
    {
        "file": [f"{number}.png" for number in range(rows)],
        "when": np.where(day, "day", "night"),
        "lens": lens,
    }
)
table.to_csv(folder / "metadata.csv", index=False)

# %% [markdown]
# ## The task and the model
#
# EfficientNet-Lite0 comes as a package with its ImageNet weights; a name of torchvision's or timm's,
# a folder of transformers or a module of your own goes as well. `size` is pixels a side.

# %%
task = eh.tasks.images(folder, label="when", groups="lens", positive="day")
model = eh.models.load("efficientnet-lite0", size=32)
result = eh.finetune(model, task, min_rows=10)
print(result.report)
print(result.run.decided)

# %% [markdown]
# The features are in the cache now: another criterion, bound or seed reads them there, and runs no
# network. `strength` takes one head of the path, without choosing.

# %%
again = eh.finetune(model, task, criterion="demographic_parity", strength=0.3, min_rows=10)
print(again.run.decided)
for note in again.run.warnings:
    print("note:", note)

# %% [markdown]
# ## Decide new pictures

# %%
kept = eh.load(result.save("runs/pictures"))
print(kept.predict([folder / "0.png", folder / "1.png"]), table["when"][:2].tolist())

# %% [markdown]
# 240 pictures are few: the notes say which rates are rough. `evenhand plan` says how many rows a
# bound would need.
