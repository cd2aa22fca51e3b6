"""Two gloo processes on half a batch each, against one process with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

from trainers.one_rank import distribute

from anl_seg.trainers.segmentation_loss import WarmUp

pytestmark = pytest.mark.filterwarnings("ignore:.*plans.*:DeprecationWarning")


def step(trainer, batch, ranks):
    """Do two steps, under DDP on this rank's part of the batch, and return the second result."""
    size = len(batch["data"]) // ranks
    rank = dist.get_rank() if ranks > 1 else 0
    mine = slice(rank * size, (rank + 1) * size)
    part = {"data": batch["data"][mine], "target": [each[mine] for each in batch["target"]]}
    for warm_up in trainer._parts_of_loss(WarmUp):
        warm_up.active = False
    trainer.train_step(part)
    loss = float(trainer.train_step(part)["loss"])
    parameters = [*trainer.network.parameters(), *trainer.robust_loss.parameters()]
    gradients = torch.cat([p.grad.flatten() for p in parameters])
    values = torch.cat([p.detach().flatten() for p in parameters])
    average = torch.cat([value.flatten() for value in trainer.average.values])
    return {"loss": loss, "gradients": gradients, "values": values, "average": average}


CASES = {
    "anl-ce": {"loss": "anl-ce", "delta": 1e-4},
    "entropy": {"loss": "anl-ce*", "loss_parameters": {"lambda_": 2.0}},
    "t-loss": {"loss": "t-loss"},
    "with-dice": {"loss": "mae", "dice_weight": 1.0},
    "bootstrap": {"dice_weight": 1.0, "ce_weight": 1.0, "warmup": 0.5, "bootstrap": 0.3},
}


def make(make_trainer, case):
    trainer = make_trainer({"seed": 1, "ema": 0.5, **CASES[case]})
    trainer.initialize()
    return trainer


@pytest.mark.slow
def test_two_processes_do_what_one_does(make_trainer, make_batch, tmp_path):
    whole = {}
    for case in CASES:
        trainer = make(make_trainer, case)
        # under DDP nnU-Net gives the lowest scale a tiny weight in place of 0
        trainer.is_ddp = True
        trainer.loss = trainer._build_loss()
        trainer.is_ddp = False
        whole[case] = step(trainer, make_batch(trainer, images=4), ranks=1)
    environment = os.environ | {"ANL_SEG_RESULTS": str(tmp_path), "ANL_SEG_RANKS": "2"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    command += ["-k", "one_of_two_processes"]
    processes = [
        subprocess.Popen(
            # With a common folder for temporary files, one may delete what the other lists.
            [*command, f"--basetemp={tmp_path / f'rank{rank}'}"],
            env=environment | {"ANL_SEG_RANK": str(rank)},
            cwd=tmp_path,
        )
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    for case, expected in whole.items():
        ranks = [torch.load(tmp_path / f"{case}_{rank}.pt") for rank in (0, 1)]
        # what nnU-Net logs is the mean over the ranks
        assert sum(each["loss"] for each in ranks) / 2 == pytest.approx(expected["loss"], rel=1e-5)
        assert torch.equal(ranks[0]["average"], ranks[1]["average"])
        for each in ranks:
            for what in ("gradients", "values", "average"):
                torch.testing.assert_close(each[what], expected[what], rtol=1e-4, atol=1e-6)


@pytest.mark.skipif("ANL_SEG_RANK" not in os.environ, reason="a half of the test above")
def test_one_of_two_processes(make_trainer, make_batch):
    results, rank = Path(os.environ["ANL_SEG_RESULTS"]), os.environ["ANL_SEG_RANK"]
    trainers = {case: make(make_trainer, case) for case in CASES}
    store = f"file://{results}/store"
    dist.init_process_group("gloo", init_method=store, rank=int(rank), world_size=2)
    for case, trainer in trainers.items():
        batch = make_batch(trainer, images=4)
        torch.save(step(distribute(trainer), batch, ranks=2), results / f"{case}_{rank}.pt")
    dist.destroy_process_group()
