"""Mails to people. Use cases put mails into the outbox, and a thread sends them.

- `outbox.py` stores mails in the database until they are sent.
- `messages.py` writes the text of a mail from its template.
- `smtp.py` hands a message to the mail server.
- `sender.py` sends the mails of the outbox.
"""
