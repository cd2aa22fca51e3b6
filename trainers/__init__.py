"""nnU-Net trainers with robust losses, their settings, and how nnU-Net finds them.

The package itself imports neither torch nor nnU-Net; `anl_seg.trainers.nnUNetTrainerANL` does.
"""
