"""What runs inside the process that imports a user's checkout, in the Python interpreter that the user names.

Nothing here imports the rest of the project: that interpreter may be Python 3.8 with an old PyTorch, and need not
have the project or its dependencies. Nor is any code of the trackers' projects repeated here: they are imported
from the checkout, and what a modern PyTorch has taken from under them is put back from outside.
"""
