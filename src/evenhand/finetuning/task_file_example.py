"""The commented task.yaml that ``evenhand init`` writes."""

from __future__ import annotations

from evenhand.errors import InputError

_HEAD = """\
# What to fine-tune, on what, and how even its decisions must fall.
# Paths are relative to this file. Run: evenhand finetune task.yaml
"""


_TABLE = """\
task: table
data: people.csv            # CSV (any delimiter, .gz too) or Parquet
label: income               # the column to predict: texts or numbers, two classes or more
positive: ">50K"            # the value that counts as positive; a list joins several
groups: [sex]               # one or more columns; several are crossed. Not used to predict
# features: [age, hours]    # the columns to predict from; default: all the others
# drop: [id]                # columns to leave out of those
# categorical: [job_code]   # columns whose numbers are codes, not amounts
# decimal: ","              # where numbers are written 1.234,5 and it is not found by itself
# missing: [none, "-9"]     # words for "no value" beside "", ?, NA, N/A, NaN, null, None
"""


_IMAGES = """\
task: images
data: photos                # a folder or zip file with the images and one CSV of labels;
                            # or WebDataset shards, as shards/*.tar, whose labels are in them
metadata: metadata.csv      # that CSV
file: file                  # its column of file names
label: smiling              # the column to predict
positive: 1                 # the value that counts as positive; a list joins several
groups: [gender]            # one or more columns; several are crossed. Not used to predict
"""


_TEXT = """\
task: text
data: posts.csv             # CSV (any delimiter, .gz too) or Parquet
text: text                  # the column of texts
label: abusive              # the column to predict
positive: 1                 # the value that counts as positive; a list joins several
groups: [dialect]           # one or more columns; several are crossed. Not used to predict
"""


_SPLIT = """
# The rows: fit on train, choose on valid, report on test.
split: {train: 0.6, valid: 0.15, test: 0.25}   # or a column that says train, valid or test
# split_by: person          # a column whose values must not be torn apart
# weight: person_weight     # a column of the rows' weights, in all that is fitted and counted
# weight_kind: frequency    # a row stands for so many that were seen; default survey: not seen
seed: 0
"""


_MODELS = {
    "table": """
# The pre-trained model: an MLP is trained on a part of the rows if there is none.
# model: my_package.nets:build   # a function of yours that returns a torch module
# weights: model.safetensors     # its weights (a state dict)
# head: classifier               # its last linear layer, where it is not found
""",
    "images": """
# The pre-trained model: a torchvision name, efficientnet-lite0, a transformers folder or hub name,
# or my_package.nets:build for a function of yours that returns a torch module.
model: resnet18
# weights: model.safetensors     # a file, where torchvision's own cannot be downloaded
# head: fc                       # its last linear layer, where it is not found
# image_size: 224                # pixels a side
""",
    "text": """
# The pre-trained model: a transformers folder or hub name (a classifier or a base encoder).
model: all-MiniLM-L6-v2
# head: classifier               # its last linear layer, where it is not found
# max_length: 256                # tokens kept of a text
""",
}


_ASKED = """
# What is asked: the lowest error whose gap between groups is within the bound.
criterion: equalized_odds   # or demographic_parity, equal_opportunity
bound: 0.10                 # leave out for the smallest gap at little cost
confidence: 0.9             # how sure the bound must be
error: f1                   # 100 - weighted F1; or accuracy, balanced, log_loss
output: runs/{kind}
"""


KINDS = {"table": _TABLE, "images": _IMAGES, "text": _TEXT}


def example(kind: str = "table") -> str:
    """A commented task.yaml for a table, images or text; it passes the schema as it is.

    Raises:
        InputError: another kind.
    """
    if kind not in KINDS:
        raise InputError(f"unknown kind of task {kind!r}; the kinds are {', '.join(KINDS)}")
    return _HEAD + KINDS[kind] + _SPLIT + _MODELS[kind] + _ASKED.format(kind=kind)
