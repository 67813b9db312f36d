"""The devices a study is planned on: figures of data sheets, the share of the peak that training reaches,
and the speed that several devices lose to communication.

In: settings of the hardware, a cell. Out: peak, memory and power of a device (`devices`), its assumed utilisation
(`utilisation`), and how long a step takes on several devices (`step_time`, `communication`).
"""
