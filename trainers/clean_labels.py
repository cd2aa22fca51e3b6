"""Clean labels of training cases, preprocessed like nnU-Net's own labels."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nnunetv2.configuration import default_num_processes
from numpy.typing import NDArray

from anl_seg.errors import InputError, listed, named
from anl_seg.formats.files import atomic_path
from anl_seg.trainers.distributed import own_share, wait_for_all
from anl_seg.trainers.memorisation import PLOT

if TYPE_CHECKING:
    from anl_seg.trainers.trainer import nnUNetTrainerANL


@dataclass(frozen=True)
class CleanLabels:
    """Preprocessing of masks like nnU-Net's labels of the same cases.

    Attributes:
        dataset: nnU-Net's data set of the preprocessed cases.
        preprocessed: Folder of the data set.
        plans: nnU-Net's plans manager.
        configuration: nnU-Net's configuration manager.
        labels: nnU-Net's label manager.
    """

    dataset: Any
    preprocessed: Path
    plans: Any
    configuration: Any
    labels: Any

    @property
    def folder(self) -> Path:
        """Folder of the arrays `CASE.npy`, with the shape of the preprocessed labels."""
        return self.preprocessed.with_name(f"{self.preprocessed.name}_clean")

    def is_current(self, case: str, mask: Path) -> bool:
        """Return whether the array of a case exists and is newer than its sources."""
        array = self.folder / f"{case}.npy"
        sources = (mask, self.preprocessed / f"{case}.pkl")
        newest = max(source.stat().st_mtime for source in sources)
        return array.exists() and array.stat().st_mtime >= newest

    def write(self, masks: Mapping[str, Path]) -> None:
        """Write the arrays of masks.

        Args:
            masks: Files by case.

        Raises:
            InputError: If masks do not fit their images. The message lists them.
        """
        # Threads suffice, because reading, resampling and writing release the GIL. Processes would
        # import torch.
        with ThreadPoolExecutor(default_num_processes) as pool:
            problems = list(filter(None, pool.map(self._write_one, masks, masks.values())))
        if problems:
            raise InputError(
                f"{listed(problems, 'clean masks do not fit')}; correct them, or move their "
                "folder away to train without clean labels"
            )

    def _write_one(self, case: str, mask: Path) -> str | None:
        """Write the array of a case, or return the problem of its mask."""
        try:
            labels = self._preprocess(case, mask)
        except InputError as problem:
            return str(problem)
        with (
            atomic_path(self.folder / f"{case}.npy") as partial,
            partial.open("wb") as stream,
        ):
            np.save(stream, labels)
        return None

    def _preprocess(self, case: str, mask: Path) -> NDArray[Any]:
        """Transpose, crop and resample a mask as nnU-Net's preprocessor did."""
        order = self.plans.transpose_forward
        labels, _ = self.plans.image_reader_writer_class().read_seg(str(mask))
        labels = labels.transpose([0, *(axis + 1 for axis in order)])
        _, preprocessed, _, properties = self.dataset.load_case(case)
        self._check(labels, mask, tuple(properties["shape_before_cropping"]))
        box = properties["bbox_used_for_cropping"]
        crop = (slice(None), *(slice(low, high) for low, high in box))
        spacing = [properties["spacing"][axis] for axis in order]
        target = list(self.configuration.spacing)
        target = spacing[: len(spacing) - len(target)] + target  # 2D keeps the spacing of slices
        resampled: NDArray[Any] = self.configuration.resampling_fn_seg(
            labels[crop], preprocessed.shape[1:], spacing, target
        )
        return resampled.astype(np.uint8 if resampled.max() <= 255 else np.int16)

    def _check(self, labels: NDArray[Any], mask: Path, shape: tuple[int, ...]) -> None:
        if labels.shape[1:] != shape:
            found, expected = ("x".join(map(str, each)) for each in (labels.shape[1:], shape))
            raise InputError(f"{mask} has {found} pixels, its image {expected}")
        known = [*self.labels.all_labels, *filter(None, [self.labels.ignore_label])]
        wrong = np.unique(labels[~np.isin(labels, known)])
        if wrong.size:
            raise InputError(
                f"{mask} contains {named([f'{value:g}' for value in wrong])}, but dataset.json has "
                f"the labels {', '.join(map(str, known))}"
            )


def prepare_clean_labels(
    trainer: nnUNetTrainerANL,
    dataset: Any,  # noqa: ANN401 (nnU-Net carries no types)
    masks: Mapping[str, Path],
) -> Path:
    """Preprocess the clean labels of a fold like its labels, if they are missing or outdated.

    Args:
        trainer: The trainer.
        dataset: nnU-Net's data set of the training cases.
        masks: The clean mask of each case.

    Returns:
        Folder of the arrays `CASE.npy`.

    Raises:
        InputError: If masks do not fit their images.
    """
    clean = CleanLabels(
        dataset,
        Path(trainer.preprocessed_dataset_folder),
        trainer.plans_manager,
        trainer.configuration_manager,
        trainer.label_manager,
    )
    mine = own_share(trainer, list(masks))
    if outdated := [case for case in mine if not clean.is_current(case, masks[case])]:
        trainer.print_to_log_file(f"anl-seg: preparing the clean labels of {len(outdated)} cases")
        clean.write({case: masks[case] for case in outdated})
    wait_for_all(trainer)
    trainer.print_to_log_file(
        f"anl-seg: clean labels are known; {PLOT} shows how well both are fitted"
    )
    return clean.folder
