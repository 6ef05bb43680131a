"""What teachers share for GPUs: arrays on their way, kernels of our own, graphs that are replayed, a first layer."""
