"""`anl-seg label-noise`: noisy class labels, made to order and written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, another noise.")] = 1,
    draw: Annotated[
        str,
        typer.Option(
            "--draw",
            help="exact: round(eta n) flips a class. bernoulli: each label by "
            "itself, as instance always does.",
        ),
    ] = "exact",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder of the data set as it was downloaded, or .npz; else data/DATASET.",
        ),
    ] = None,
    human: Annotated[
        Path | None,
        typer.Option("--human", help="File of CIFAR-N, or its folder, for --noise human."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Draw noisy class labels, print their confusion, and save them with a hash.

    symmetric: any other class. asymmetric: the class that resembles it, on
    CIFAR-100 the next of the real super-class (asymmetric-published: of the
    block of five indices, as in published code). instance: part-dependent
    noise, from the pixels. human: CIFAR-10N worst or CIFAR-100N noisy.
    """
    from anl_seg.datasets import cifar_n
    from anl_seg.datasets.classification import load_arrays
    from anl_seg.errors import InputError
    from anl_seg.noise import labels
    from anl_seg.noise.labels.tables import confusion_text

    if output.exists() and not overwrite:
        raise InputError(f"{output} is there already; choose another file with -o, or --overwrite")
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
    asked = "" if eta is None else f", asked {eta:g}"
    n_wrong = int(noisy.mislabelled.sum())
    print(f"{n_wrong} of {len(noisy.labels)} labels are wrong: rate {noisy.rate:.4f}{asked}")
    print(f"SHA-256 {noisy.sha256}")
    print(f"{output}: noisy labels of {dataset}")
