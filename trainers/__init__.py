"""nnU-Net trainers with robust losses, their settings, and how nnU-Net finds them.

The package itself imports neither torch nor nnU-Net; `nnUNetTrainerANL` and `export` in it do.
"""
