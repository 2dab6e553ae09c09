"""What has changed at Harvest since it was loaded, and which days that touches.

Belongs here: finding changes, comparing them with the warehouse, and the runs that bring them in.
Does not belong here: Dagster's sensor (sensors.py), and what those runs do (assets.py).

Everything is worked out from the state of both sides at each tick: a change is *outstanding* as
long as the warehouse does not hold it, whatever was requested before. So a tick can be repeated at
any time, and nothing is lost when one of them dies halfway.
"""
