"""A consultancy that looks alive, made up from a seed and a day.

Belongs here: choosing people, projects, time, expenses and invoices, deterministically: the same
seed, day and scale give the same account to the last byte. Does not belong here: serving it.
"""
