"""File formats that several parts of anl-seg share: masks, nnU-Net folders, whole files."""
