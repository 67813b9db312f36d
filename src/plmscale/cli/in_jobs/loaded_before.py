"""What jobs load besides torch, loaded once by the fork server: 0.8 of 1.3 seconds of processor time of a small job.

Importing this calls a compiled function, since numba loads its own tables at the first call of any. No operation of
torch may be called here: the threads of its OpenMP do not survive a fork.
"""

import numpy as np
import pandas as pd

from ...model.cpu_attention import function
from ...sets.batch_plan import plan_batches

__all__ = ["function", "pd"]

plan_batches(np.array([2, 3], dtype=np.uint16), batch_tokens=4, order="bucketed", seed=0)
