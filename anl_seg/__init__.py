"""anl-seg: nnU-Net made robust to bad masks with Active Negative Loss.

Import what you need from the sub-packages; importing `anl_seg` itself loads nothing.
"""

__version__ = "0.1.0"
