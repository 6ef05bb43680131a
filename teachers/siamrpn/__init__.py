"""SiamRPN and its family: Siamese region proposal networks, for one video or many at once.

`SiamRpn` is the teacher; `variants` lists the published trackers; `engine` puts any network of the family
behind the protocol of teachers.
"""

from teachers.siamrpn.factory import SiamRpn

__all__ = ["SiamRpn"]
