"""A small test double of the Operator Lifecycle Manager (OLM v0): it plays the parts that an administrator sees.

Not the real one. It knows catalogs and bundles as folders instead of images, resolves no dependencies, and makes no
copies of a ClusterServiceVersion in other namespaces. What it does show (objects, columns, phases, reasons, generated
names) is measured against recordings of the real one.
"""
