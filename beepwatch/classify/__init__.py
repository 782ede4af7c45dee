"""Windows of sound arrive; probabilities per label and frame leave.

A model is a directory that is checked before it is used (`bundle`) and run by `engines`; sounds of
one's own (`heads`, kept on a `shelf`) are columns beside its labels (`taught`).
"""
