"""In: deliveries from the outbox, oldest first, and the raw sound of their events.

Out: lines on the console, messages with an mp3 on Telegram, and how each delivery went.
"""
