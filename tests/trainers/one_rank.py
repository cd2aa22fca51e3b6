"""One of two gloo processes that correct labels together: `python one_rank.py RANK FOLDER`.

FOLDER gets `RANK.pt`: the results of an uninterrupted training, and of one that was killed while
it predicted the training cases and then continued.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from anl_seg.trainers import correction, nnUNetTrainerANL


class Killed(Exception):
    pass


def create(name: str) -> Any:
    """Create an initialised trainer for plans called `name`."""
    (base,) = Path(os.environ["nnUNet_preprocessed"]).iterdir()
    plans = json.loads((base / "nnUNetPlans.json").read_text())
    description = {"labels": {"background": 0, "lesion": 1}, "channel_names": {"0": "grey"}}
    description["file_ending"] = ".nii.gz"
    settings = {"epochs": 12, "iterations": 8, "seed": 1}
    content = {**plans, "plans_name": name, "continue_training": False, "anl_seg": settings}
    trainer = nnUNetTrainerANL(content, "hand", 0, description, device=torch.device("cpu"))
    trainer.logger.plot_progress_png = lambda folder: None
    trainer.initialize()
    return trainer


def distribute(trainer: Any) -> Any:
    """Do to an initialised trainer what nnU-Net does if processes are initialised.

    Its constructor would choose a GPU, and its wrapper of the network names one.
    """
    trainer.is_ddp = True
    trainer.local_rank = dist.get_rank()
    trainer.network = DistributedDataParallel(trainer.network)
    trainer.loss = trainer._build_loss()
    return trainer


def killed_while_predicting(trainer: Any) -> None:
    """Run a training until it has predicted its first training case."""
    correct = correction.correct_labels

    def correct_one_and_die(dataset: Any, cases: Any, *arguments: Any, **keywords: Any) -> None:
        correct(dataset, list(cases)[:1], *arguments, **keywords)
        raise Killed

    correction.correct_labels = correct_one_and_die
    try:
        trainer.run_training()
    except Killed:
        correction.correct_labels = correct
    else:
        raise AssertionError("the training was not killed")


def results(trainer: Any) -> dict[str, Any]:
    """Return what both processes must agree on."""
    folder = Path(trainer.output_folder)
    return {
        "weights": torch.cat([p.detach().flatten() for p in trainer.network.parameters()]),
        "average": torch.cat([value.flatten() for value in trainer.average.values]),
        "dice": trainer.correction.peak.dice,
        "corrected after": trainer.correction.done_in,
        "files": sorted(path.stem for path in (folder / "corrected_labels").iterdir()),
    }


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    whole, killed, again = map(create, ("whole", "killed", "killed"))
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    distribute(whole).run_training()
    killed_while_predicting(distribute(killed))
    dist.barrier()
    distribute(again).load_checkpoint(f"{again.output_folder}/checkpoint_latest.pth")
    start = again.current_epoch
    again.run_training()
    found = {"whole": results(whole), "again": results(again), "start": start}
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
