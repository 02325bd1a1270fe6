"""transformers' Trainer with the backbone frozen."""

from __future__ import annotations

import copy
import tempfile
from typing import Any

import torch

from benchmarks.cache_case import Case
from benchmarks.measure import require
from evenhand.head import Head


class _Images(torch.utils.data.Dataset[dict[str, Any]]):
    def __init__(self, case: Case) -> None:
        self.images = torch.from_numpy(case.task.train.inputs)
        self.labels = torch.from_numpy(case.task.train.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"pixel_values": self.images[row], "labels": self.labels[row]}


def trainer_head(case: Case) -> Head:
    """Train the classifier alone, as the others: Adam at a constant rate, nothing saved."""
    require("accelerate", "accelerate")
    from transformers import PrinterCallback, Trainer, TrainingArguments
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.manual_seed(0)
    model: Any = copy.deepcopy(case.backbone.model)
    model.requires_grad_(False)
    model.classifier.requires_grad_(True)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=case.epochs,
            per_device_train_batch_size=32,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            seed=0,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=_Images(case))
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    layer = model.classifier
    weight, bias = (one.detach().double().numpy() for one in (layer.weight, layer.bias))
    return Head(weight.T.copy(), bias)
