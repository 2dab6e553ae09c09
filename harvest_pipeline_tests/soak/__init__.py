"""Simulated nights: an account that people work in, a network that fails, processes that die.

After every night that the pipeline calls a success the warehouse has to equal the account, and no
other may lose a row: days.py is what people do in a day, weather.py what goes wrong in a night,
night.py the night's work in a process of its own, nights.py one night after the other, and what
came of each.

    make soak N=1000 SEED=1
"""
