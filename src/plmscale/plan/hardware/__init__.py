"""The devices a study is planned on: what data sheets say, what share of it training reaches, what several lose.

In: settings of the hardware, a cell. Out: peak, memory and power of a device (`devices`), its assumed utilisation
(`utilisation`), and how long a step takes on several devices (`step_time`, `communication`).
"""
