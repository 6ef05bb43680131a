"""Training of the weights that the project ships, on procedural video alone: no photograph is ever seen.

`clips.clip(seed, index, length)` gives a short clip with boxes, `pairs.pair(seed, index)` an exemplar and a search
region; both are functions of their arguments. `python -m teachers.training.siamrpn` trains the slim SiamRPN.
"""
