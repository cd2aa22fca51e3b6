"""Search for hyper-parameters on images held out of training."""
