"""Programs outside that the server asks: whether an object may be written, what it should be, how it converts.

All is pure but `https`, the one module that talks to anybody.
"""
