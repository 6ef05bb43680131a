"""Deep ECO for many videos at once: what is learned lies on the network's device, with a first dimension of rows.

A row is one video's. All series are complex64 (..., coefficients, channels), the coefficients in the order of
`teachers.eco.fourier`. Products are full float32 (PyTorch's TF32 stays off, as it is by default: conjugate gradients
do not bear its ten bits), inner products are summed in float64. No operation sums over rows, so a video's boxes do not
depend on its neighbours: on a CPU to the last bit, on a GPU up to how a kernel rounds that was chosen by their number.
"""
