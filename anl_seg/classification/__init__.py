"""Image classifiers trained on noisy labels, as in the paper's Tables I to V and VII.

    settings = ClassificationSettings("digits", "anl-ce", noise="symmetric", eta=0.6, seed=1)
    run(settings, Path("runs/first")).last

`PROTOCOLS` defines the training on each data set. `read_run`, `read_log` and `read_gradients` read
the files of a run.
"""

from anl_seg.classification.protocols import PROTOCOLS, ClassificationProtocol
from anl_seg.classification.run import Result, run
from anl_seg.classification.run_files import Epoch, read_gradients, read_log, read_run
from anl_seg.classification.settings import ClassificationSettings

__all__ = [
    "PROTOCOLS",
    "ClassificationProtocol",
    "ClassificationSettings",
    "Epoch",
    "Result",
    "read_gradients",
    "read_log",
    "read_run",
    "run",
]
