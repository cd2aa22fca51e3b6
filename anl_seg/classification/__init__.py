"""Image classifiers trained on noisy labels, as in the paper's Tables I to V and VII, and fast.

    settings = Settings(protocol="digits", noise="symmetric", eta=0.6, loss="anl-ce", seed=1)
    run(settings, Path("runs/first")).last

`PROTOCOLS` says how each data set is trained on. What a run writes is read by `read_run`,
`read_log` and `read_gradients`.
"""

from anl_seg.classification.protocols import PROTOCOLS, Protocol
from anl_seg.classification.records import Epoch, read_gradients, read_log, read_run
from anl_seg.classification.run import Result, run
from anl_seg.classification.settings import Settings

__all__ = [
    "PROTOCOLS",
    "Epoch",
    "Protocol",
    "Result",
    "Settings",
    "read_gradients",
    "read_log",
    "read_run",
    "run",
]
