"""Segmentation runs through nnU-Net's own commands, and the demo."""
