"""What a study costs before it runs: memory, speed, devices, walltime, energy and money.

In: a study and its hardware. Out: an allocation for every cell, the plan as files, the part of a grid that a budget
pays for. Others use `plan`, `allocation`, `calibration` and `hardware/`, which is
what is known of devices.
"""
