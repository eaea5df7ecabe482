"""What the product does, one module a subject; the HTTP API and the command line both call these.

A service takes ``Services`` (store, blobs, jobs, settings) and plain values, returns plain dictionaries in the
contract's shapes, and raises errors of our tree. It knows all four packages below and must not know HTTP.
"""
