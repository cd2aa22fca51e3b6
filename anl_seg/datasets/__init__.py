"""Real data in its official layout, and the phantom; NumPy and Pillow, no torch.

`isic2017` converts the ISIC-2017 challenge's own folders to an nnU-Net raw data set and fetches its
archives; `phantom` draws dermoscopy-like pictures in the same layout. `classification` loads the
data sets of the paper's classification tables by name; `cifar_n` reads the human labels of CIFAR.
"""
