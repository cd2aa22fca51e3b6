"""`anl-seg losses`: the list of losses, and details of one of them."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = (
    "anl-seg losses",
    "anl-seg losses anl-ce",
)


def command(
    name: Annotated[
        str | None, typer.Argument(help="The loss to show in detail.", show_default=False)
    ] = None,
) -> None:
    """List the losses with advice on which one to use, or show one in detail."""
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    from anl_seg.losses import GUIDE, PRESETS, canonical_name, describe, names
    from anl_seg.trainers.defaults import defaults

    if name is None:
        table = Table("name", "formula", "parameters", "source", box=None, pad_edge=False)
        for each in names():
            spec = describe(each)
            parameters = ", ".join(spec.parameters)
            table.add_row(each, escape(spec.formula), parameters, spec.source)
        Console().print(table, "")
        guide = Table("if", "use", "because", box=None, pad_edge=False)
        for advice in GUIDE:
            guide.add_row(*map(escape, advice))
        Console().print(Padding(guide, (0, 0, 0, 2)))
        print(
            "\n`anl-seg losses NAME` shows defaults (of the trainers too) and the paper's values."
        )
        return
    name = canonical_name(name)
    spec = describe(name)
    print(f"{name}\n  formula  {spec.formula}\n  source   {spec.source}")
    for advice in GUIDE:
        if advice.loss == name:
            print(f"  use      if {advice.situation}. {advice.reason}")
    ours = defaults(name)
    in_trainer = ours.pop("loss_parameters")
    for key, parameter in spec.parameters.items():
        other = f", in nnUNetTrainerANL {in_trainer[key]:g}" if key in in_trainer else ""
        print(f"  {key:7}  {parameter}; default {parameter.default:g}{other}")
    corrects = ours.pop("correct_labels")
    added = [f"{key} {value:g}" for key, value in ours.items() if value]
    if text := ", ".join([*added, *(["correction of labels"] if corrects else [])]):
        print(f"  trainer  nnUNetTrainerANL adds {text} (see anl-seg plan --help)")
    if spec.note:
        print(f"  note     {spec.note}")
    for dataset, presets in PRESETS.items():
        if name in presets:
            preset = presets[name]
            values = {**preset.hyper_parameters, "L1": preset.delta, "L2": preset.l2}
            text = ", ".join(f"{key} {value:g}" for key, value in values.items() if value)
            print(f"  paper    {dataset}: {text} ({preset.source})")
