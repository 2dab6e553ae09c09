"""Connecting an account: from "may I?" in the browser to an entry in the account store.

Belongs here: everything that is asked of a person, in the browser and in the terminal.
Does not belong here: the OAuth 2 protocol (harvest/oauth.py), keeping accounts (accounts).
"""
