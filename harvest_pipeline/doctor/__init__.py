"""`harvest-pipeline doctor`: what there is, what is wrong with it, and what to do.

It looks and asks; it changes nothing, and it shows no secret. One module for each part of what it
looks at, each of them a row of generators of findings.
"""
