"""Data sets in their official layouts, and a phantom. Nothing here needs torch.

- `isic2017` fetches the archives of the ISIC-2017 challenge, and converts its folders to an nnU-Net
  raw data set.
- `phantom` draws dermoscopy-like pictures in the same layout.
- `classification` loads the data sets of the paper's classification tables by name.
- `cifar_n` reads the human labels of CIFAR.
"""
