"""Networks made ready for inference: normalisations folded away, convolutions as the processor computes them fastest.

Any teacher's network, and the student's as a tracker: whoever calls says which layers are worth it.
"""
