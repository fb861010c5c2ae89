"""The product: from publishers' responses to a published release. Each package is one layer; imports point one way."""

import gc

# The libraries and definitions are half a million objects that stay. By default the interpreter looks through all of
# them for garbage dozens of times while they load: a fifth of the time that it takes.
gc.set_threshold(50_000, 20, 50)
