"""The trunks of the SiamRPN family: an image in, one feature map per level used out.

Attribute names are those of the published checkpoints (pysot's and DaSiamRPN's), so that a checkpoint loads
by its own keys. In every module the order of registration is the order of execution, which `folding` relies
on.
"""
