"""Alerts: who is told by e-mail or webhook that something went wrong. Off by default.

See docs/alerts.md. What is told stands in runs.py, days.py and credentials.py, each knowing
nothing of how; how it is sent in email.py and webhook.py, knowing nothing of what.
"""
