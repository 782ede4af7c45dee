"""Windows of sound arrive; probabilities per label and frame leave.

A model is a directory that is checked before it is used (`bundle`) and run by `engines`.
"""
