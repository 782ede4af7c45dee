"""In: events, clips and alerts, each in one transaction before anything is sent.

Out: deliveries in order for the messenger, clips as files, and rows for people.
"""
