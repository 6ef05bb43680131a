"""ECO with hand-crafted features: Danelljan et al., CVPR 2017."""

from teachers.eco.tracker import Eco

__all__ = ["Eco"]
