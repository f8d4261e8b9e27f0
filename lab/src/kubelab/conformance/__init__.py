"""How a real API server behaves, as cases that run against any cluster.

A case is a few requests; what a real server answered them is recorded beside it. A server conforms to a case if it
answers the same, but for what every server chooses itself: versions, ids, times, addresses.
"""
