"""`anl-seg label-noise`: noisy class labels, drawn and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import Human

EXAMPLES = (
    "anl-seg label-noise --dataset digits --noise symmetric --eta 0.4 -o noisy.npz",
    "anl-seg label-noise --dataset cifar10 --noise human --human CIFAR-N -o human.npz",
)


def command(
    dataset: Annotated[str, typer.Option("--dataset", help="digits, mnist, cifar10 or cifar100.")],
    noise: Annotated[
        str,
        typer.Option(
            "--noise",
            help="clean, symmetric, asymmetric, asymmetric-published, instance or human.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the noisy labels, .npz.")
    ],
    eta: Annotated[
        float | None, typer.Option("--eta", help="Share of wrong labels, from 0 to 1.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the noise.")] = 1,
    draw: Annotated[
        str,
        typer.Option(
            "--draw",
            help="exact: round(eta n) flips in each class. bernoulli: each label is flipped "
            "independently, as instance always does.",
        ),
    ] = "exact",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder of the data set as downloaded, or .npz (default: data/DATASET).",
        ),
    ] = None,
    human: Human = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Draw noisy class labels, print their confusion matrix, and save them.

    Use the file with several trainings, to give all of them the same labels.

    symmetric: any other class. asymmetric: a similar class; on CIFAR-100 the
    next one of the real super-class. asymmetric-published: the next one of the
    block of five indices, as in published code. instance: part-dependent noise,
    from the pixels. human: CIFAR-10N worst or CIFAR-100N noisy.
    """
    from anl_seg.datasets import cifar_n
    from anl_seg.datasets.classification import load_arrays
    from anl_seg.errors import InputError
    from anl_seg.noise import labels
    from anl_seg.noise.labels.tables import confusion_text

    if output.exists() and not overwrite:
        raise InputError(f"{output} exists; choose another file with -o, or add --overwrite")
    images = load_arrays(dataset, data)
    noisy = labels.draw(
        images.y_train,
        kind=noise,
        n_classes=len(images.classes),
        eta=eta,
        seed=seed,
        dataset=dataset,
        images=images.x_train,
        human=cifar_n.read(human, images) if human else None,
        draw=draw,
    )
    labels.save(noisy, output)
    print(confusion_text(noisy, images.classes))
    requested = "" if eta is None else f", requested {eta:g}"
    n_wrong = int(noisy.mislabelled.sum())
    print(f"{n_wrong} of {len(noisy.labels)} labels are wrong: rate {noisy.rate:.4f}{requested}")
    print(f"SHA-256 {noisy.sha256}")
    print(f"{output}: noisy labels of {dataset}")
