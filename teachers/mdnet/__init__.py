"""MDNet: a classifier per video on top of shared convolutions, trained online. `Mdnet` is the teacher."""

from teachers.mdnet.tracker import Mdnet, MdnetBatch

__all__ = ["Mdnet", "MdnetBatch"]
