"""The device that a command computes on."""

from __future__ import annotations

import pytest
import torch

from anl_seg import cli
from anl_seg.devices import choose_device, find_devices
from anl_seg.errors import InputError


@pytest.fixture
def machine(monkeypatch):
    """Pretend that this machine has a GPU or not."""

    def pretend(*, cuda: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return pretend


def test_a_gpu_comes_first(machine):
    machine(cuda=True)
    assert find_devices() == ["cuda", "cpu"]
    assert choose_device() == "cuda"
    assert choose_device("cpu") == "cpu"
    machine(cuda=False)
    assert find_devices() == ["cpu"]
    assert choose_device() == "cpu"


@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "gpu"])
def test_a_device_that_is_missing(machine, asked):
    machine(cuda=False)
    with pytest.raises(InputError, match=rf"no device '{asked}'; choose one of cpu$"):
        choose_device(asked)


def test_the_demo_refuses_it_before_it_begins(machine, tmp_path, capsys):
    machine(cuda=False)
    with pytest.raises(SystemExit) as stop:
        cli.main(["demo", "-device", "cuda", "-o", str(tmp_path / "demo")])
    assert stop.value.code == 2
    assert "no device 'cuda'" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
