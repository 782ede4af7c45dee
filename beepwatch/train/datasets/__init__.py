"""Folders of recordings: their table, their labels, what sounds alike in them."""
