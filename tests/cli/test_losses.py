"""`anl-seg losses` on the command line."""

import pytest

from anl_seg import losses
from anl_seg.cli import main


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["losses", *arguments])
    return exit_.value.code, capsys.readouterr()


def test_lists_every_loss(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, output = run(capsys)
    assert code == 0
    head, *lines = output.out.splitlines()
    assert head.split() == ["name", "formula", "parameters", "source"]
    listed = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert listed[:-1] == losses.names()  # the last line says how to see more


@pytest.mark.parametrize("name", losses.names())
def test_shows_one_in_full(capsys, name):
    code, output = run(capsys, name)
    assert code == 0
    spec = losses.describe(name)
    for text in (spec.formula, spec.source, *spec.parameters):
        assert text in output.out


def test_says_which_one_to_use(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, output = run(capsys)
    for advice in losses.GUIDE:
        assert advice.loss in losses.names()
        assert f"  {advice.situation}  " in output.out
    _, output = run(capsys, "GCE")
    assert "use      if you want a single parameter. Close to ce" in output.out


def test_shows_the_papers_values(capsys):
    _, output = run(capsys, "anl-ce")
    assert "cifar10: alpha 5, beta 5, L1 5e-05 (Table VIII)" in output.out


def test_default_and_trainers_value_stand_together(capsys):
    _, output = run(capsys, "anl-ce")
    assert "alpha    in [0, inf); default 1, in nnUNetTrainerANL 5\n" in output.out
    assert "nnUNetTrainerANL adds dice_weight 1, ce_weight 1" in output.out


def test_unknown_loss_is_one_line(capsys):
    code, output = run(capsys, "dice")
    assert code == 2
    assert output.err.startswith("anl-seg: error: unknown loss 'dice'; there are: ce, fl")
    assert output.err.count("\n") == 1
