"""Search for hyper-parameters on images that are held out of training."""
