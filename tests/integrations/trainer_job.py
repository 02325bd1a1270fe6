"""A few steps and an evaluation of FairTrainer, in as many processes as the environment says.

python trainer_job.py FOLDER
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

warnings.filterwarnings("ignore")

from test_fair_trainer import Sentences, arguments, bert, logits_of  # noqa: E402

from evenhand.integrations.trainer import FairTrainer  # noqa: E402

SMALL_STEPS = {"max_steps": 3, "optim": "sgd", "learning_rate": 0.5}
LARGE_STEPS = {"max_steps": 12, "optim": "adamw_torch", "learning_rate": 1e-2}


def everything(folder, processes):
    """The batch is 64 in all, however many processes share it; 101 rows are evaluated."""
    found = {}
    for by_batch, how in ((False, SMALL_STEPS), (True, LARGE_STEPS)):
        trainer = FairTrainer(
            bert(),
            arguments(
                folder,
                per_device_train_batch_size=64 // processes,
                per_device_eval_batch_size=16,
                batch_eval_metrics=by_batch,
                max_grad_norm=0.0,
                lr_scheduler_type="constant",
                **how,
            ),
            train_dataset=Sentences(256),
            eval_dataset=Sentences(101, seed=1),
            strength=5.0,
        )
        trainer.train()
        found[f"logits {by_batch}"] = logits_of(trainer.model, Sentences(50, seed=2)).numpy()
        if not by_batch:
            weights = [p.detach().flatten() for p in trainer.model.parameters()]
            found["weights"] = torch.cat(weights).numpy().copy()
        with torch.no_grad():  # decisions of both kinds, none next to the threshold
            apart = logits_of(trainer.model, Sentences(101, seed=1)) @ torch.tensor([-1.0, 1.0])
            trainer.model.classifier.bias[1] -= apart.sort().values[50:52].mean()
        measured = trainer.evaluate()
        for name in ("err", "delta_eo", "delta_dp", "tpr_0", "fpr_1", "rows_0", "rows_1"):
            found[f"{name} {by_batch}"] = np.array(measured[f"eval_{name}"])
    return found


def main():
    import torch.distributed as group

    folder = Path(sys.argv[1])
    group.init_process_group("gloo")
    rank, size = group.get_rank(), group.get_world_size()
    np.savez(folder / f"rank{rank}.npz", **everything(folder, size))
    group.destroy_process_group()


if __name__ == "__main__":
    main()
