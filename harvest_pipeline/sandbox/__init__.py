"""The sandbox: a local Harvest account over real HTTP, to try the project and to test it.

Belongs here: everything that plays Harvest's side, after REFERENCE.md: records, lists, errors,
limits, sign-in, and the doors through which tests change what is played.
Does not belong here: anything of the project's own side (harvest, warehouse, assets). The lists are
written down here from the reference and not taken from the catalogue: an emulator that shares the
client's idea of Harvest would confirm the client's mistakes.
"""
