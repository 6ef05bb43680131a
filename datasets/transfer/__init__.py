"""The transfer-set format: windows of video, the ground truth and every positive teacher's boxes, in HDF5.

`datasets.transfer.format` is the whole format on one page; docs/transfer-set-format.md explains it.
"""
