"""Deep ECO for many videos at once: what is learned lies on the network's device, with a first dimension of rows.

A row is one video's. All series are complex64 (..., coefficients, channels), the coefficients in the order of
`teachers.eco.fourier`; all products are full float32 (PyTorch's TF32 is left off, as it is by default: conjugate
gradients on numbers of 1e-4 do not bear ten bits), inner products are summed in float64. Every operation works on each
row by itself, so a video's boxes depend on its neighbours no more than a kernel chosen by their number rounds.
"""
