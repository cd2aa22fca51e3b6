"""File formats shared by several parts of anl-seg: masks, nnU-Net folders, atomic files."""
